import segmentation_models_pytorch as smp
import torch
from fastai.losses import CrossEntropyLossFlat
from segmentation_models_pytorch.losses import SoftBCEWithLogitsLoss, SoftCrossEntropyLoss
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch import nn

rows, labels = torch.randn(2, 3), torch.randint(0, 4, (2,))
squashed = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
plain = nn.Linear(3, 4)
loss = LabelSmoothingCrossEntropy(0.1)(squashed(rows), labels)  # finds softmax-before-cross-entropy certain
loss = LabelSmoothingCrossEntropy(smoothing=0.1)(plain(rows), labels)
loss = SoftTargetCrossEntropy()(plain(rows), torch.rand(2, 4).softmax(1))
loss = CrossEntropyLossFlat()(squashed(rows), labels)  # finds softmax-before-cross-entropy certain
loss = CrossEntropyLossFlat()(plain(rows).view(1, 2, 4), labels)

images, masks = torch.randn(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
net = smp.Unet("resnet34", classes=1, activation="sigmoid")
loss = nn.BCEWithLogitsLoss()(net(images), masks)  # finds sigmoid-before-bce-with-logits certain
loss = SoftBCEWithLogitsLoss(ignore_index=255)(net(images), masks)  # finds sigmoid-before-bce-with-logits certain
loss = nn.BCELoss()(net(images), masks)
raw = smp.FPN("resnet34", classes=1)
loss = nn.BCELoss()(raw(images), masks)  # finds logits-into-bce certain
loss = SoftBCEWithLogitsLoss()(raw(images), masks)
many = smp.Unet("resnet34", classes=5, activation="softmax2d")
loss = SoftCrossEntropyLoss(smooth_factor=0.1)(many(images), torch.zeros(2, 8, 8).long())  # finds softmax-before-cross-entropy certain
