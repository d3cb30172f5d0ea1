"""What keeps an edited row of the register from deciding anything."""
