"""Files of strangers are read by workers that can do nothing but read them."""
