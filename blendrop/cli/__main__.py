"""How is the command line started without its script? By `python -m blendrop.cli`."""

from blendrop.cli import program

if __name__ == "__main__":
    program.main()
