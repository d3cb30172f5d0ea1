"""The roof: settings, composition, the site, the command, migrations, the demo. It puts parts together, no more."""
