"""Train the small model that ships: ``python tools/train_embedded.py --out FOLDER``; resumes."""

from embedded_training.train import main

if __name__ == "__main__":
    main()
