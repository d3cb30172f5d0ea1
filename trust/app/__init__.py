"""The roof: settings, composition, the site, the command, migrations, the demo. What puts parts together, and nothing else."""
