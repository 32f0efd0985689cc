"""The command's entry: `python -m aiconsole` and the console script."""

from aiconsole.cli.app import main

if __name__ == "__main__":
    main()
