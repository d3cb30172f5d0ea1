"""The roof: settings, composition, the site, the command, migrations, the demo. It only connects the parts."""
