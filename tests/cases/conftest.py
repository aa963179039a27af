"""The cases are programs to be run by `gradviz check`, not modules to collect tests from."""

collect_ignore_glob = ["*.py"]
