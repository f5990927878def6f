"""`python -m crossentropy`, the same as the command `crossentropy`."""

from crossentropy.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
