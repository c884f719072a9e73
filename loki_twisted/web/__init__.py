"""HTTP: the gate, the routes, and errors turned into answers. Importing it installs the reactor."""
