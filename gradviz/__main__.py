"""`python -m gradviz` is the `gradviz` command."""

from gradviz_cli.main import main

if __name__ == "__main__":
    main()
