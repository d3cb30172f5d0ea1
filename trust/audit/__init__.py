"""What was done, by whom, to which e-certificate."""
