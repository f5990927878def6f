CONFIG = {
    "seed": 3,
    "steps": 5,
    "lr": 0.1,
    "model": {"name": "bow", "vocab": 50, "hidden": 32, "topics": 6},
    "loss": {"name": "ce"},
}
