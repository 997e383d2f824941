"""`python -m waiaas` is the command `waiaas`."""

from waiaas.cli import main

if __name__ == "__main__":
    main(prog_name="waiaas")
