"""The command line of gradviz: one file per command, found by `main` and loaded when it is used."""
