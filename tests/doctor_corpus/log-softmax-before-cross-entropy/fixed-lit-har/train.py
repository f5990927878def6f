import torch
from module import ActivityModule
from trainer import Trainer

torch.manual_seed(12)
signals = torch.randn(80, 9, 32)
activities = torch.randint(0, 6, (80,))
batches = list(zip(signals.split(20), activities.split(20)))

Trainer(max_epochs=1).fit(ActivityModule(channels=9, activities=6), batches)
