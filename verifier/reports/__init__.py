"""Filing reports under their codes and finding them again."""
