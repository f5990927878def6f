from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head, self.both = nn.Linear(4, 8), nn.Linear(8, 2), False

    def forward(self, x):
        features = self.body(x.flatten(1))
        if self.both:
            return self.head(features), features
        return self.head(features)


net = Net()
for name in options:
    setattr(net, name, True)
for x, teacher in loader:
    logits, features = net(x)  # so it gives two things, and these are no rows of a batch
    nn.KLDivLoss()(logits.log_softmax(1), teacher.softmax(1)).backward()  # finds kl-div-reduction certain
