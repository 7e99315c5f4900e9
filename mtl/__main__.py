"""`python -m mtl ...` and `accelerate launch -m mtl ...`."""

from mtl.cli.main import main

if __name__ == "__main__":
    main()
