"""What people read, in zh-CN and English."""
