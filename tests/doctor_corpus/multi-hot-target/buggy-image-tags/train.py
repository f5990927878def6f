import torch
from torch.utils.data import DataLoader

from dataset import TAGS, TaggedImages
from lit import ImageTagger, fit

torch.manual_seed(142)
fit(ImageTagger(len(TAGS)), DataLoader(TaggedImages(48), batch_size=12))
