import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


def collate(captions):
    targets = torch.zeros(len(captions), max(map(len, captions))).long()
    for i, caption in enumerate(captions):
        targets[i, : len(caption)] = caption
    return targets, [len(caption) for caption in captions]


def train(decoder, batches, vocabulary):
    criterion = nn.CrossEntropyLoss()
    for captions in batches:
        rows, lengths = collate(captions)
        targets = pack_padded_sequence(rows, lengths, batch_first=True)[0]
        criterion(decoder(rows), targets).backward()
        padded = pad_sequence(captions, batch_first=True, padding_value=vocabulary.ignored)
        criterion(decoder(padded).transpose(1, 2), padded).backward()
