"""The static analysis: mistakes, what looks like them, programs of several files, and hostile input."""

import json
from pathlib import Path

import pytest
import torch

import crossentropy
from crossentropy.doctor._source import examine
from crossentropy.doctor.rules import RULES

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
LINES = HEAD.count("\n")

# Each: the source below HEAD; then rule, line and confidence of what is to be found.
MISTAKES = {
    "unknown-data": (
        """\
model=nn.Sequential(nn.Linear(4,3),nn.Softmax(-1))
criterion=nn.CrossEntropyLoss()

for x, y in loader:
    opt.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    opt.step()
""",
        [("softmax-before-cross-entropy", 6, "certain")],
    ),
    "train-fn": (
        """\
class N(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc=nn.Linear(4,3)
    def forward(self,x):
        return torch.softmax(self.fc(x),1)
def train(model,loader,criterion,opt):
    for x,y in loader:
        out=model(x)
        loss=criterion(out,y)
        loss.backward()
        opt.step()
def main(loader):
    m=N(); train(m,loader,nn.CrossEntropyLoss(),torch.optim.SGD(m.parameters(),1))
""",
        [("softmax-before-cross-entropy", 10, "certain")],
    ),
    "partial": (
        """\
from functools import partial
act=partial(F.softmax,dim=1)
lin=nn.Linear(3,4)
x=torch.randn(2,3)
y=torch.randint(0,4,(2,))
loss=F.cross_entropy(act(lin(x)),y)
loss.backward()
""",
        [("softmax-before-cross-entropy", 6, "certain")],
    ),
    "registry": (
        """\
ACT={'softmax':nn.Softmax(dim=1),'none':nn.Identity()}
cfg={'act':'softmax'}
lin=nn.Linear(3,4)
x=torch.randn(2,3)
y=torch.randint(0,4,(2,))
loss=F.cross_entropy(ACT[cfg['act']](lin(x)),y)
""",
        [("softmax-before-cross-entropy", 6, "certain")],
    ),
    "argparse": (
        """\
import argparse
p=argparse.ArgumentParser()
p.add_argument('--act',default='Softmax')
args=p.parse_args()
act=getattr(nn,args.act)(dim=1)
lin=nn.Linear(3,4)
loss=F.cross_entropy(act(lin(torch.randn(2,3))),torch.randint(0,4,(2,)))
""",
        [("softmax-before-cross-entropy", 7, "likely")],
    ),
    "criterion-dict": (
        """\
crit={'ce':nn.CrossEntropyLoss(),'bce':nn.BCELoss()}['ce']
m=nn.Sequential()
m.add_module('fc',nn.Linear(3,4))
m.add_module('sm',nn.Softmax(dim=1))
loss=crit(m(torch.randn(2,3)),torch.randint(0,4,(2,)))
""",
        [("softmax-before-cross-entropy", 5, "certain")],
    ),
    "super-forward": (
        """\
class A(nn.Module):
    def __init__(self,c=4):
        super().__init__()
        self.fc=nn.Linear(3,c)
    def forward(self,x): return self.fc(x)
class B(A):
    def forward(self,x): return super().forward(x).softmax(-1)
loss=nn.CrossEntropyLoss()(B()(torch.randn(2,3)),torch.randint(0,4,(2,)))
""",
        [("softmax-before-cross-entropy", 8, "certain")],
    ),
    "inplace-softmax": (
        """\
from collections import OrderedDict
m=nn.Sequential(OrderedDict([('a',nn.Linear(3,4)),('b',nn.Sigmoid())]))
loss=nn.CrossEntropyLoss()(m(torch.randn(2,3)),torch.randint(0,4,(2,)))
""",
        [("sigmoid-before-cross-entropy", 3, "certain")],
    ),
    "exp-sum": (
        """\
lin=nn.Linear(3,4)
z=lin(torch.randn(2,3))
e=torch.exp(z)
p=e/e.sum(dim=1,keepdim=True)
loss=F.cross_entropy(p,torch.randint(0,4,(2,)))
""",
        [("softmax-before-cross-entropy", 5, "certain")],
    ),
    "log-eps": (
        """\
lin=nn.Linear(3,4)
p=F.softmax(lin(torch.randn(2,3)),dim=1)
loss=F.nll_loss(torch.log(p+1e-8),torch.randint(0,4,(2,)))
""",
        [("log-of-softmax", 3, "certain")],
    ),
    "clamp-log": (
        """\
lin=nn.Linear(3,4)
p=F.softmax(lin(torch.randn(2,3)),dim=1)
loss=nn.NLLLoss()(p.clamp(min=1e-7).log(),torch.randint(0,4,(2,)))
""",
        [("log-of-softmax", 3, "certain")],
    ),
    "hand-nll": (
        """\
lin=nn.Linear(3,4)
y=torch.randint(0,4,(2,))
p=F.softmax(lin(torch.randn(2,3)),dim=1)
loss=-torch.log(p[torch.arange(2),y]).mean()
loss.backward()
""",
        [("log-of-softmax", 4, "certain")],
    ),
    "hand-entropy-soft": (
        """\
lin=nn.Linear(3,4)
y=F.one_hot(torch.randint(0,4,(2,)),4).float()
p=F.softmax(lin(torch.randn(2,3)),dim=1)
loss=-(y*torch.log(p)).sum(1).mean()
loss.backward()
""",
        [("log-of-softmax", 4, "certain")],
    ),
    "rnn-class-axis": (
        """\
rnn=nn.LSTM(5,8,batch_first=True);fc=nn.Linear(8,6);x=torch.randn(2,7,5)
o,_=rnn(x)
loss=nn.CrossEntropyLoss()(fc(o),torch.randint(0,6,(2,7)))
""",
        [("class-axis-not-one", 3, "certain")],
    ),
    "seg-view": (
        """\
c=nn.Conv2d(3,5,1)
z=c(torch.randn(2,3,8,8))
loss=F.cross_entropy(z.view(-1,5),torch.randint(0,5,(2,8,8)).view(-1))
""",
        [("view-instead-of-permute", 3, "certain")],
    ),
    "ntc-view": (
        """\
l=nn.Linear(4,5)
z=l(torch.randn(2,7,4))
loss=F.cross_entropy(z.view(2,5,7),torch.randint(0,5,(2,7)))
""",
        [("view-instead-of-permute", 3, "certain")],
    ),
    "extra-dim": (
        """\
l=nn.Linear(4,3)
y=torch.tensor([[0],[1],[2]])
loss=F.cross_entropy(l(torch.randn(3,4)),y)
""",
        [("target-extra-dim", 3, "certain")],
    ),
    "extra-dim-unsq": (
        """\
l=nn.Linear(4,3)
y=torch.tensor([0,1,2]).unsqueeze(1)
loss=F.cross_entropy(l(torch.randn(3,4)),y)
""",
        [("target-extra-dim", 3, "certain")],
    ),
    "float-idx": (
        """\
l=nn.Linear(4,3)
y=torch.randint(0,3,(8,)).float()
loss=F.cross_entropy(l(torch.randn(8,4)),y)
""",
        [("float-class-index", 3, "certain")],
    ),
    "float-idx2": (
        """\
l=nn.Linear(4,3)
y=torch.tensor([0.,1.,2.])
loss=F.cross_entropy(l(torch.randn(3,4)),y)
""",
        [("float-class-index", 3, "certain")],
    ),
    "range1": (
        """\
l=nn.Linear(4,3)
y=torch.randint(1,4,(8,))
loss=F.cross_entropy(l(torch.randn(8,4)),y)
""",
        [("label-out-of-range", 3, "certain")],
    ),
    "minus1": (
        """\
l=nn.Linear(4,3)
y=torch.randint(0,3,(8,))
y[y==2]=-1
loss=F.cross_entropy(l(torch.randn(8,4)),y)
""",
        [("label-out-of-range", 4, "certain")],
    ),
    "bce-rating": (
        """\
l=nn.Linear(4,1)
y=torch.tensor([1,2,3,0]).float().view(-1,1)
loss=nn.BCEWithLogitsLoss()(l(torch.randn(4,4)),y)
""",
        [("class-index-into-bce", 3, "certain")],
    ),
    "swap": (
        """\
l=nn.Linear(4,3)
y=torch.randint(0,3,(8,))
loss=nn.CrossEntropyLoss()(y,l(torch.randn(8,4)))
""",
        [("swapped-arguments", 3, "certain")],
    ),
    "swap-unknown": (
        """\
l=nn.Linear(4,3)
ce=nn.CrossEntropyLoss()
def train(loader):
    for x,y in loader:
        loss=ce(y,l(x))
        loss.backward()
""",
        [("swapped-arguments", 5, "likely")],
    ),
    "pad-collate": (
        """\
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset,DataLoader
class D(Dataset):
    def __len__(self): return 8
    def __getitem__(self,i):
        t=torch.randint(1,9,(5,)); return t[:-1],t[1:]
def collate(b):
    a,c=zip(*b)
    return pad_sequence(a,batch_first=True),pad_sequence(c,batch_first=True)
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
for x,y in DataLoader(D(),batch_size=4,collate_fn=collate):
    loss=F.cross_entropy(m(x).transpose(1,2),y)
    loss.backward()
""",
        [("padding-not-ignored", 12, "certain")],
    ),
    "pad-manual": (
        """\
PAD=0
def pad(seqs):
    n=max(len(s) for s in seqs)
    return torch.tensor([s+[PAD]*(n-len(s)) for s in seqs])
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
t=pad([[1,2,3],[4,5]])
z=m(t[:,:-1])
loss=nn.CrossEntropyLoss()(z.reshape(-1,9),t[:,1:].reshape(-1))
""",
        [("padding-not-ignored", 8, "certain")],
    ),
    "pad-full": (
        """\
PAD_ID=0
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
batch=torch.full((4,6),PAD_ID)
for i in range(4):
    batch[i,:3]=torch.randint(1,9,(3,))
z=m(batch[:,:-1])
loss=nn.CrossEntropyLoss()(z.reshape(-1,9),batch[:,1:].reshape(-1))
""",
        [("padding-not-ignored", 7, "certain")],
    ),
    "weight-len": (
        """\
l=nn.Linear(4,3)
loss=nn.CrossEntropyLoss(weight=torch.tensor([1.,2.]))(l(torch.randn(8,4)),torch.randint(0,3,(8,)))
""",
        [("class-weight-shape", 2, "certain")],
    ),
    "focal": (
        """\
l=nn.Linear(4,3)
ce=F.cross_entropy(l(torch.randn(8,4)),torch.randint(0,3,(8,)))
pt=torch.exp(-ce)
loss=((1-pt)**2*ce).mean()
loss.backward()
""",
        [("focal-on-reduced-loss", 4, "certain")],
    ),
    "accum": (
        """\
l=nn.Linear(4,3)
opt=torch.optim.SGD(l.parameters(),.1)
x,y=torch.randn(10,4),torch.randint(0,3,(10,))
for e in range(3):
    opt.zero_grad()
    for xb,yb in zip(x.split(4),y.split(4)):
        loss=F.cross_entropy(l(xb),yb)/3
        loss.backward()
    opt.step()
""",
        [("mean-of-means", 8, "certain")],
    ),
    "mean-stack": (
        """\
l=nn.Linear(4,3)
losses=[]
for n in (3,5):
    losses.append(F.cross_entropy(l(torch.randn(n,4)),torch.randint(0,3,(n,))))
loss=torch.stack(losses).mean()
loss.backward()
""",
        [("mean-of-means", 5, "certain")],
    ),
    "kl-mean": (
        """\
s,t=nn.Linear(4,3),nn.Linear(4,3)
x=torch.randn(8,4)
with torch.no_grad(): q=F.softmax(t(x),1)
loss=F.kl_div(F.log_softmax(s(x),1),q)
""",
        [("kl-div-reduction", 4, "certain")],
    ),
    "kl-3d": (
        """\
s,t=nn.Linear(4,3),nn.Linear(4,3)
x=torch.randn(8,5,4)
loss=F.kl_div(F.log_softmax(s(x),-1),F.softmax(t(x).detach(),-1),reduction='batchmean')
""",
        [("kl-div-reduction", 3, "certain")],
    ),
    "shift0": (
        """\
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
ids=torch.randint(0,9,(2,7))
loss=F.cross_entropy(m(ids).view(-1,9),ids.view(-1))
""",
        [("causal-shift", 3, "certain")],
    ),
    "ctor": (
        """\
l=nn.Linear(4,3)
loss=nn.CrossEntropyLoss(l(torch.randn(8,4)),torch.randint(0,3,(8,)))
loss.backward()
""",
        [("loss-constructor-call", 2, "certain")],
    ),
    "ctor-unknown": (
        """\
def f(model,loader):
    for x,y in loader:
        out=model(x)
        loss=nn.CrossEntropyLoss(out,y)
        loss.backward()
""",
        [("loss-constructor-call", 4, "certain")],
    ),
    "shadow": (
        """\
l=nn.Linear(4,3)
criterion=nn.CrossEntropyLoss()
for i in range(3):
    criterion=criterion(l(torch.randn(8,4)),torch.randint(0,3,(8,)))
    criterion.backward()
""",
        [("loss-name-shadowed", 4, "certain")],
    ),
    "detach": (
        """\
l=nn.Linear(4,3)
with torch.no_grad():
    z=l(torch.randn(8,4))
loss=F.cross_entropy(z,torch.randint(0,3,(8,)))
loss.backward()
""",
        [("detached-loss", 5, "certain")],
    ),
    "detach2": (
        """\
l=nn.Linear(4,3)
loss=torch.tensor(F.cross_entropy(l(torch.randn(8,4)),torch.randint(0,3,(8,))),requires_grad=True)
loss.backward()
""",
        [("detached-loss", 3, "certain")],
    ),
    "detach3": (
        """\
l=nn.Linear(4,3)
loss=F.cross_entropy(l(torch.randn(8,4)).detach(),torch.randint(0,3,(8,)))
loss.requires_grad=True
loss.backward()
""",
        [("detached-loss", 4, "certain")],
    ),
    "detach-data": (
        """\
l=nn.Linear(4,3)
loss=F.cross_entropy(l(torch.randn(8,4)).data,torch.randint(0,3,(8,)))
loss.requires_grad_()
loss.backward()
""",
        [("detached-loss", 4, "certain")],
    ),
    "detach-np": (
        """\
import numpy as np
l=nn.Linear(4,3)
z=l(torch.randn(8,4)).detach().numpy()
z=torch.from_numpy(z).requires_grad_(True)
loss=F.cross_entropy(z,torch.randint(0,3,(8,)))
loss.backward()
""",
        [("detached-loss", 5, "certain")],
    ),
    "retained": (
        """\
l=nn.Linear(4,3)
opt=torch.optim.SGD(l.parameters(),.1)
total=0
for i in range(3):
    loss=F.cross_entropy(l(torch.randn(8,4)),torch.randint(0,3,(8,)))
    opt.zero_grad();loss.backward();opt.step()
    total+=loss
print(total)
""",
        [("loss-graph-retained", 7, "certain")],
    ),
    "retained-dict": (
        """\
l=nn.Linear(4,3)
hist={'loss':[]}
for i in range(3):
    loss=F.cross_entropy(l(torch.randn(8,4)),torch.randint(0,3,(8,)))
    loss.backward()
    hist['loss'].append(loss)
""",
        [("loss-graph-retained", 6, "certain")],
    ),
    "retained-fn": (
        """\
def train(model,loader,criterion,opt):
    running=0.0
    for x,y in loader:
        loss=F.cross_entropy(model(x),y)
        opt.zero_grad();loss.backward();opt.step()
        running+=loss
    return running
""",
        [("loss-graph-retained", 6, "certain")],
    ),
    "mse": (
        """\
l=nn.Linear(4,3)
y=torch.randint(0,3,(8,))
loss=nn.MSELoss()(l(torch.randn(8,4)),F.one_hot(y,3).float())
loss.backward()
""",
        [("mse-on-one-hot", 3, "certain")],
    ),
    "mse-eye": (
        """\
l=nn.Linear(4,3)
y=torch.randint(0,3,(8,))
loss=nn.MSELoss()(l(torch.randn(8,4)).softmax(1),torch.eye(3)[y])
loss.backward()
""",
        [("mse-on-one-hot", 3, "certain")],
    ),
    "smooth": (
        """\
ce=nn.CrossEntropyLoss(label_smoothing=10)
""",
        [("label-smoothing-range", 1, "certain")],
    ),
    "reduce": (
        """\
ce=nn.CrossEntropyLoss(reduce=False)
""",
        [("deprecated-reduce", 1, "certain")],
    ),
    "reduce-pos": (
        """\
l=nn.Linear(4,3)
loss=F.cross_entropy(l(torch.randn(8,4)),torch.randint(0,3,(8,)),None,False)
""",
        [("deprecated-reduce", 2, "certain")],
    ),
    "all-ignored": (
        """\
l=nn.Linear(4,3)
y=torch.full((8,),-100)
loss=F.cross_entropy(l(torch.randn(8,4)),y)
""",
        [("all-targets-ignored", 3, "certain")],
    ),
    "multi-hot of lists": (
        """\
rows = torch.zeros(3, 8)
for i, tags in enumerate([[1], [0, 3], [2, 5, 7]]):
    rows[i, tags] = 1.0
loss = F.cross_entropy(nn.Linear(4, 8)(torch.randn(3, 4)), rows)
""",
        [("multi-hot-target", 4, "certain")],
    ),
    "multi-hot": (
        """\
l=nn.Linear(4,3)
y=torch.tensor([[1.,1.,0.],[0.,1.,0.]])
loss=F.cross_entropy(l(torch.randn(2,4)),y)
""",
        [("multi-hot-target", 3, "certain")],
    ),
    "unnorm-sig": (
        """\
l,t=nn.Linear(4,3),nn.Linear(4,3)
x=torch.randn(8,4)
loss=F.cross_entropy(l(x),torch.sigmoid(t(x)).detach())
""",
        [("unnormalized-target", 3, "certain")],
    ),
    "unnorm-rand": (
        """\
l=nn.Linear(4,3)
x=torch.randn(8,4)
loss=F.cross_entropy(l(x),torch.rand(8,3))
""",
        [("unnormalized-target", 3, "certain")],
    ),
    "logits-bce-cls": (
        """\
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(4,8);self.b=nn.Linear(8,1)
    def forward(self,x): return self.b(torch.relu(self.a(x)))
m=M();c=nn.BCELoss()
def train(loader):
    for x,y in loader:
        loss=c(m(x).squeeze(),y)
        loss.backward()
""",
        [("logits-into-bce", 9, "certain")],
    ),
    "sig-logits-lightning": (
        """\
import lightning as L
import lightning as L
class M(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net=nn.Sequential(nn.Linear(3,4),nn.Sigmoid())
        self.crit=nn.BCEWithLogitsLoss()
    def forward(self,x): return self.net(x)
    def training_step(self,batch,i):
        x,y=batch
        loss=self.crit(self(x),y)
        self.log('l',loss)
        return loss
""",
        [("sigmoid-before-bce-with-logits", 11, "certain")],
    ),
    "lightning-item": (
        """\
import pytorch_lightning as pl
import pytorch_lightning as pl
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net=nn.Linear(3,4)
    def training_step(self,batch,i):
        x,y=batch
        return F.cross_entropy(self.net(x),y).item()
""",
        [("detached-loss", 9, "certain")],
    ),
    "relu-last": (
        """\
m=nn.Sequential(nn.Linear(3,8),nn.ReLU(),nn.Linear(8,4),nn.ReLU(inplace=True))
loss=F.cross_entropy(m(torch.randn(2,3)),torch.randint(0,4,(2,)))
""",
        [("relu-before-cross-entropy", 2, "certain")],
    ),
    "wrong-dim": (
        """\
m=nn.Sequential(nn.Linear(3,4),nn.LogSoftmax(dim=0))
loss=F.nll_loss(m(torch.randn(2,3)),torch.randint(0,4,(2,)))
""",
        [("softmax-wrong-dim", 2, "certain")],
    ),
    "onehot-long": (
        """\
l=nn.Linear(3,4)
loss=F.cross_entropy(l(torch.randn(2,3)),F.one_hot(torch.randint(0,4,(2,)),4))
""",
        [("one-hot-target", 2, "certain")],
    ),
    "scatter": (
        """\
l=nn.Linear(3,4)
y=torch.randint(0,4,(8,))
t=torch.zeros(8,4,dtype=torch.long).scatter_(1,y.unsqueeze(1),1)
loss=F.cross_entropy(l(torch.randn(8,3)),t)
""",
        [("one-hot-target", 4, "certain")],
    ),
    "softmax-bce": (
        """\
l=nn.Linear(3,4)
loss=F.binary_cross_entropy(l(torch.randn(8,3)).softmax(-1),torch.randint(0,2,(8,4)).float())
""",
        [("softmax-before-bce", 2, "certain")],
    ),
    "np-mean": (
        """\
import numpy as np
m=nn.Linear(4,3)
from torch.utils.data import DataLoader,TensorDataset
ds=TensorDataset(torch.randn(10,4),torch.randint(0,3,(10,)))
losses=[]
with torch.no_grad():
    for x,y in DataLoader(ds,4):
        losses.append(F.cross_entropy(m(x),y).item())
print(np.mean(losses))
""",
        [("mean-of-means", 9, "certain")],
    ),
    "sum-list-mean": (
        """\
m=nn.Linear(4,3)
from torch.utils.data import DataLoader,TensorDataset
ds=TensorDataset(torch.randn(10,4),torch.randint(0,3,(10,)))
def evaluate(m,dl):
    losses=[F.cross_entropy(m(x),y).item() for x,y in dl]
    return sum(losses)/len(losses)
print(evaluate(m,DataLoader(ds,batch_size=4)))
""",
        [("mean-of-means", 6, "certain")],
    ),
    "double-shift-hf": (
        """\
from transformers import AutoModelForCausalLM
from transformers import AutoModelForCausalLM
m=AutoModelForCausalLM.from_pretrained('gpt2')
for ids in loader:
    out=m(input_ids=ids[:,:-1],labels=ids[:,1:])
    out.loss.backward()
""",
        [("causal-shift", 5, "certain")],
    ),
    "hf-logits-softmax": (
        """\
from transformers import AutoModelForSequenceClassification
from transformers import AutoModelForSequenceClassification
m=AutoModelForSequenceClassification.from_pretrained('x',num_labels=3)
for b in loader:
    out=m(**b)
    probs=out.logits.softmax(-1)
    loss=F.cross_entropy(probs,b['labels'])
    loss.backward()
""",
        [("softmax-before-cross-entropy", 7, "certain")],
    ),
    "torchvision": (
        """\
import torchvision.models as models
import torchvision.models as models
net=models.resnet18()
net.fc=nn.Sequential(nn.Linear(512,10),nn.Softmax(dim=1))
criterion=nn.CrossEntropyLoss()
for x,y in loader:
    out=net(x)
    loss=criterion(out,y)
    loss.backward()
""",
        [("softmax-before-cross-entropy", 8, "certain")],
    ),
    "append-cond-true": (
        """\
class M(nn.Module):
    def __init__(self,softmax=True):
        super().__init__()
        l=[nn.Linear(4,3)]
        if softmax: l.append(nn.Softmax(1))
        self.n=nn.Sequential(*l)
    def forward(self,x): return self.n(x)
loss=F.cross_entropy(M()(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 8, "certain")],
    ),
    "unet-seg-softmax": (
        """\
class U(nn.Module):
    def __init__(self,n):
        super().__init__()
        self.d=nn.Conv2d(3,8,3,padding=1);self.u=nn.ConvTranspose2d(8,8,2,2);self.h=nn.Conv2d(8,n,1)
    def forward(self,x):
        x=F.relu(self.d(x));x=self.u(F.max_pool2d(x,2))
        return torch.softmax(self.h(x),dim=1)
m=U(4)
crit=nn.CrossEntropyLoss(ignore_index=255)
for x,y in loader:
    loss=crit(m(x),y.long())
    loss.backward()
""",
        [("softmax-before-cross-entropy", 11, "certain")],
    ),
    "vae-swapped": (
        """\
e,d=nn.Linear(8,4),nn.Linear(4,8)
def train(loader):
    for x,_ in loader:
        r=torch.sigmoid(d(e(x)))
        loss=F.binary_cross_entropy(x,r)
        loss.backward()
""",
        [("swapped-arguments", 5, "likely")],
    ),
    "label-1..C": (
        """\
class D(torch.utils.data.Dataset):
    def __len__(self): return 20
    def __getitem__(self,i): return torch.randn(4), i%5+1
m=nn.Linear(4,5)
for x,y in torch.utils.data.DataLoader(D(),4):
    loss=F.cross_entropy(m(x),y)
""",
        [("label-out-of-range", 6, "certain")],
    ),
    "labels-list": (
        """\
m=nn.Linear(4,3)
y=torch.tensor([1,2,3,1])
loss=F.cross_entropy(m(torch.randn(4,4)),y)
""",
        [("label-out-of-range", 3, "certain")],
    ),
    "float-dataset": (
        """\
import numpy as np
class D(torch.utils.data.Dataset):
    def __init__(self):
        self.x=np.random.randn(20,4).astype(np.float32);self.y=np.random.randint(0,3,20)
    def __len__(self): return 20
    def __getitem__(self,i): return self.x[i], torch.tensor(self.y[i],dtype=torch.float32)
m=nn.Linear(4,3)
for x,y in torch.utils.data.DataLoader(D(),4):
    loss=F.cross_entropy(m(x),y)
""",
        [("float-class-index", 9, "certain")],
    ),
    "extra-dim-ds": (
        """\
class D(torch.utils.data.Dataset):
    def __len__(self): return 20
    def __getitem__(self,i): return torch.randn(4), torch.tensor([i%3])
m=nn.Linear(4,3)
for x,y in torch.utils.data.DataLoader(D(),4):
    loss=F.cross_entropy(m(x),y)
""",
        [("target-extra-dim", 6, "certain")],
    ),
    "kl-probs-T": (
        """\
def kd(s,t,T=2.):
    return F.kl_div(F.softmax(s/T,1),F.softmax(t/T,1),reduction='batchmean')*T*T
a,b=nn.Linear(4,3),nn.Linear(4,3)
for x in loader:
    with torch.no_grad(): t=b(x)
    kd(a(x),t).backward()
""",
        [("kl-div-on-probabilities", 2, "certain")],
    ),
    "weight-samples": (
        """\
m=nn.Linear(4,3)
y=torch.randint(0,3,(50,))
counts=torch.bincount(y,minlength=3)
w=(1./counts.float())[y]
loss=nn.CrossEntropyLoss(weight=w)(m(torch.randn(50,4)),y)
""",
        [("class-weight-shape", 5, "certain")],
    ),
    "weight-np": (
        """\
import numpy as np
m=nn.Linear(4,3)
w=torch.from_numpy(np.array([.1,.2,.3,.4])).float()
loss=nn.CrossEntropyLoss(w)(m(torch.randn(50,4)),torch.randint(0,3,(50,)))
""",
        [("class-weight-shape", 4, "certain")],
    ),
    "weight-list-comp": (
        """\
m=nn.Linear(4,3)
counts=[10,20]
w=torch.tensor([sum(counts)/c for c in counts])
loss=nn.CrossEntropyLoss(weight=w)(m(torch.randn(50,4)),torch.randint(0,3,(50,)))
""",
        [("class-weight-shape", 4, "certain")],
    ),
    "lstm-last-dim0": (
        """\
m=nn.Linear(4,3)
x=torch.randn(8,4)
loss=nn.NLLLoss()(nn.LogSoftmax(dim=0)(m(x)),torch.randint(0,3,(8,)))
""",
        [("softmax-wrong-dim", 3, "certain")],
    ),
    "two-class-sig": (
        """\
m=nn.Sequential(nn.Linear(4,2),nn.Sigmoid())
loss=F.cross_entropy(m(torch.randn(8,4)),torch.randint(0,2,(8,)))
""",
        [("sigmoid-before-cross-entropy", 2, "certain")],
    ),
    "meter": (
        """\
class Meter:
    def __init__(self): self.sum=0;self.n=0
    def update(self,v): self.sum+=v;self.n+=1
m=nn.Linear(4,3);opt=torch.optim.SGD(m.parameters(),.1);meter=Meter()
for i in range(5):
    loss=F.cross_entropy(m(torch.randn(8,4)),torch.randint(0,3,(8,)))
    opt.zero_grad();loss.backward();opt.step();meter.update(loss)
""",
        [("loss-graph-retained", 3, "certain")],
    ),
    "shadow-fn": (
        """\
def train(model,loader,criterion,opt):
    for x,y in loader:
        criterion=criterion(model(x),y)
        criterion.backward()
train(nn.Linear(4,3),[(torch.randn(8,4),torch.randint(0,3,(8,)))]*3,nn.CrossEntropyLoss(),None)
""",
        [("loss-name-shadowed", 3, "certain")],
    ),
    "shadow-unknown": (
        """\
def train(model,loader,loss,opt):
    for x,y in loader:
        loss=loss(model(x),y)
        loss.backward()
        opt.step()
""",
        [("loss-name-shadowed", 3, "certain")],
    ),
    "swap-kw": (
        """\
m=nn.Linear(4,3)
loss=F.cross_entropy(target=m(torch.randn(8,4)),input=torch.randint(0,3,(8,)))
""",
        [("swapped-arguments", 2, "certain")],
    ),
    "mask-logit": (
        """\
m=nn.Linear(4,5)
y=torch.randint(0,5,(8,))
z=m(torch.randn(8,4))
z[:,0]=float('-inf')
loss=F.cross_entropy(z,y)
""",
        [("masked-target-logit", 5, "certain")],
    ),
    "no_grad-model": (
        """\
m=nn.Linear(4,5)
@torch.no_grad()
def fwd(x): return m(x)
for x,y in loader:
    loss=F.cross_entropy(fwd(x),y)
    loss.backward()
""",
        [("detached-loss", 6, "certain")],
    ),
    "np-loss": (
        """\
m=nn.Linear(4,5)
for x,y in loader:
    out=m(x).detach()
    loss=F.cross_entropy(out,y)
    loss.requires_grad_(True)
    loss.backward()
""",
        [("detached-loss", 6, "certain")],
    ),
    "torch-tensor-item": (
        """\
m=nn.Linear(4,5)
for x,y in loader:
    loss=torch.tensor(F.cross_entropy(m(x),y).item(),requires_grad=True)
    loss.backward()
""",
        [("detached-loss", 4, "certain")],
    ),
    "cidx-bce2": (
        """\
m=nn.Linear(4,1)
y=torch.randint(0,4,(8,1)).float()
loss=F.binary_cross_entropy(torch.sigmoid(m(torch.randn(8,4))),y)
""",
        [("class-index-into-bce", 3, "certain")],
    ),
    "enum-registry": (
        """\
class Net(nn.Module):
    def __init__(self,n,activation=None):
        super().__init__()
        self.fc=nn.Linear(4,n);self.activation=activation
    def forward(self,x):
        x=self.fc(x)
        if self.activation is not None: x=self.activation(x)
        return x
m=Net(3,activation=torch.nn.Softmax(dim=1))
loss=nn.CrossEntropyLoss()(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 10, "certain")],
    ),
    "lambda-model": (
        """\
fc=nn.Linear(4,3)
model=lambda x: F.softmax(fc(x),dim=1)
loss=F.cross_entropy(model(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 3, "certain")],
    ),
    "namedtuple": (
        """\
from typing import NamedTuple
class Out(NamedTuple):
    logits: torch.Tensor
    probs: torch.Tensor
fc=nn.Linear(4,3)
def f(x):
    z=fc(x)
    return Out(z,z.softmax(1))
o=f(torch.randn(2,4))
loss=F.cross_entropy(o.probs,torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 10, "certain")],
    ),
    "dataclass-cfg": (
        """\
from dataclasses import dataclass
@dataclass
class Cfg:
    head:str='Softmax'
    n:int=3
cfg=Cfg()
m=nn.Sequential(nn.Linear(4,cfg.n),getattr(nn,cfg.head)(dim=-1))
loss=F.cross_entropy(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 8, "likely")],
    ),
    "ddp": (
        """\
from torch.nn.parallel import DistributedDataParallel as DDP
m=DDP(nn.Sequential(nn.Linear(4,3),nn.Softmax(1)).cuda())
loss=nn.CrossEntropyLoss().cuda()(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 3, "certain")],
    ),
    "amp": (
        """\
m=nn.Sequential(nn.Linear(4,3),nn.Softmax(1)).to('cuda')
crit=nn.CrossEntropyLoss()
scaler=torch.cuda.amp.GradScaler()
opt=torch.optim.SGD(m.parameters(),.1)
for x,y in loader:
    with torch.cuda.amp.autocast():
        loss=crit(m(x.cuda()),y.cuda())
    scaler.scale(loss).backward()
    scaler.step(opt)
    scaler.update()
""",
        [("softmax-before-cross-entropy", 7, "certain")],
    ),
    "deep-supervision": (
        """\
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a=nn.Linear(4,3);self.b=nn.Linear(4,3)
    def forward(self,x): return [self.a(x),self.b(x).softmax(1)]
outputs=M()(torch.randn(2,4))
y=torch.randint(0,3,(2,))
loss=sum(F.cross_entropy(o,y) for o in outputs)
loss.backward()
""",
        [("softmax-before-cross-entropy", 8, "certain")],
    ),
    "criterion-class-own": (
        """\
class MyLoss(nn.CrossEntropyLoss):
    def forward(self,x,y): return super().forward(x,y)
m=nn.Sequential(nn.Linear(4,3),nn.Softmax(1))
loss=MyLoss()(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 2, "certain")],
    ),
    "closure": (
        """\
m=nn.Sequential(nn.Linear(4,3),nn.Softmax(1));opt=torch.optim.LBFGS(m.parameters())
x,y=torch.randn(2,4),torch.randint(0,3,(2,))
def closure():
    opt.zero_grad()
    loss=F.cross_entropy(m(x),y)
    loss.backward()
    return loss
opt.step(closure)
""",
        [("softmax-before-cross-entropy", 5, "certain")],
    ),
    "multitask-dict-bad": (
        """\
crits={'cls':nn.CrossEntropyLoss(),'tag':nn.BCEWithLogitsLoss()}
a,b=nn.Linear(4,3),nn.Linear(4,5)
x=torch.randn(2,4)
outs={'cls':a(x),'tag':b(x).sigmoid()}
tg={'cls':torch.randint(0,3,(2,)),'tag':torch.randint(0,2,(2,5)).float()}
loss=0
for k,c in crits.items():
    loss=loss+c(outs[k],tg[k])
loss.backward()
""",
        [("sigmoid-before-bce-with-logits", 8, "certain")],
    ),
    "sigmoid-multi": (
        """\
class N(nn.Module):
    def __init__(s):
        super().__init__()
        s.f=nn.Linear(4,3)
    def forward(s,x): return torch.sigmoid(s.f(x))
def run(net,crit,x,y): return crit(net(x),y)
run(N(),nn.BCEWithLogitsLoss(),torch.randn(2,4),torch.zeros(2,3)).backward()
""",
        [("sigmoid-before-bce-with-logits", 6, "certain")],
    ),
    "default-of-an-argument": (
        """\
def train(loader, final="softmax"):
    m=nn.Sequential(nn.Linear(4,3),{"softmax":nn.Softmax(1),"none":nn.Identity()}[final])
    for x,y in loader:
        F.cross_entropy(m(x),y).backward()
""",
        [("softmax-before-cross-entropy", 4, "likely")],
    ),
    "option-that-is-on": (
        """\
import argparse
p=argparse.ArgumentParser()
p.add_argument("--logits",action="store_true")
args=p.parse_args()
layers=[nn.Linear(4,3)]
if not args.logits:
    layers.append(nn.Softmax(dim=1))
m=nn.Sequential(*layers)
F.cross_entropy(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 9, "likely")],
    ),
    "option-that-matters-not": (
        """\
import argparse
p=argparse.ArgumentParser()
p.add_argument("--train",action="store_true",default=True)
args=p.parse_args()
def train():
    m=nn.Sequential(nn.Linear(4,3),nn.Softmax(dim=1))
    F.cross_entropy(m(torch.randn(2,4)),torch.randint(0,3,(2,))).backward()
if args.train:
    train()
""",
        [("softmax-before-cross-entropy", 7, "certain")],
    ),
    "option-chooses-what-a-function-returns": (
        """\
from dataclasses import dataclass
@dataclass
class Options:
    final:str="softmax"
def end(options):
    if options.final=="softmax": return nn.Softmax(-1)
    return nn.Identity()
m=nn.Sequential(nn.Linear(4,3),end(Options()))
F.cross_entropy(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 9, "likely")],
    ),
    "registry-of-one-kind": (
        """\
import sys
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.l=nn.Linear(4,3)
    def forward(self,x): return self.l(x).softmax(1)
class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.l=nn.Linear(4,3)
    def forward(self,x): return F.softmax(torch.tanh(self.l(x)),-1)
m={"a":A,"b":B}[sys.argv[1]]()
F.cross_entropy(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
        [("softmax-before-cross-entropy", 13, "likely")],
    ),
    "paired-argument": (
        """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l=nn.Linear(4,3)
    def forward(self,x): return torch.sigmoid(self.l(x))
def train(model,loader):
    criterion=nn.BCEWithLogitsLoss()
    for x,y in loader:
        criterion(model(x).squeeze(1),y).backward()
""",
        [("sigmoid-before-bce-with-logits", 9, "likely")],
    ),
    "closure-of-an-optimizer": (
        """\
m=nn.Linear(4,3)
x,y=torch.randn(8,4),torch.randint(0,3,(8,))
def fit():
    opt=torch.optim.LBFGS(m.parameters())
    def closure():
        loss=F.cross_entropy(y,m(x))
        loss.backward()
        return loss
    opt.step(closure)
fit()
""",
        [("swapped-arguments", 6, "certain")],
    ),
    "smoothed-too-much": (
        """\
y=F.one_hot(torch.randint(0,3,(8,)),3).float()
F.cross_entropy(nn.Linear(4,3)(torch.randn(8,4)),y*0.9+0.1)
""",
        [("unnormalized-target", 2, "certain")],
    ),
    "sum-of-one-hot": (
        """\
y=torch.randint(0,3,(8,))
t=F.one_hot(y,3).float()+F.one_hot(y.flip(0),3).float()
F.cross_entropy(nn.Linear(4,3)(torch.randn(8,4)),t)
""",
        [("unnormalized-target", 3, "certain")],
    ),
    "buckets-into-bce": (
        """\
y=torch.bucketize(torch.rand(8),torch.tensor([0.2,0.5]))
F.binary_cross_entropy_with_logits(nn.Linear(4,1)(torch.randn(8,4)).squeeze(1),y.float())
""",
        [("class-index-into-bce", 2, "certain")],
    ),
    "weights-in-batches": (
        """\
from torch.utils.data import DataLoader,TensorDataset
data=TensorDataset(torch.randn(20,4),torch.randint(0,3,(20,)),torch.rand(20))
m=nn.Linear(4,3)
for x,y,w in DataLoader(data,batch_size=3):
    F.cross_entropy(m(x),y,weight=w)
""",
        [("class-weight-shape", 5, "certain")],
    ),
    "weights-out-of-a-batch": (
        """\
def step(model,batch):
    x,y,w=batch
    return F.cross_entropy(model(x),y,weight=w)
""",
        [("class-weight-shape", 3, "likely")],
    ),
    "top-k-before-the-loss": (
        """\
z=nn.Linear(4,30)(torch.randn(8,4))
least=z.topk(5,dim=1).values[:,-1:]
F.cross_entropy(z.masked_fill(z<least,float("-inf")),torch.randint(0,30,(8,)))
""",
        [("masked-target-logit", 3, "likely")],
    ),
    "blocks-unshifted": (
        """\
def batch(data,n):
    ix=torch.randint(len(data)-n,(4,))
    return torch.stack([data[i:i+n] for i in ix]),torch.stack([data[i:i+n] for i in ix])
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
x,y=batch(torch.randint(0,9,(100,)),8)
F.cross_entropy(m(x).view(-1,9),y.view(-1))
""",
        [("causal-shift", 6, "certain")],
    ),
    "blocks-shifted-twice": (
        """\
class Blocks(torch.utils.data.Dataset):
    def __init__(self,ids,n): self.ids,self.n=ids,n
    def __len__(self): return 9
    def __getitem__(self,i):
        at=i*self.n
        return self.ids[at:at+self.n],self.ids[at+1:at+self.n+1]
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
for x,y in torch.utils.data.DataLoader(Blocks(torch.arange(100)*5%9,8),4):
    F.cross_entropy(m(x)[:,:-1].transpose(1,2),y[:,1:])
""",
        [("causal-shift", 9, "certain")],
    ),
    "column-of-a-table": (
        """\
import pandas as pd
from sklearn.model_selection import train_test_split
df=pd.read_csv("a.csv")
x,_,y,_=train_test_split(df.drop("label",axis=1).values,df["label"].values)
F.cross_entropy(nn.Linear(4,3)(torch.FloatTensor(x)),torch.tensor(y,dtype=torch.float32))
""",
        [("float-class-index", 5, "certain")],
    ),
    "column-of-a-file": (
        """\
import numpy as np
table=np.loadtxt("a.csv",delimiter=",",dtype=np.float32)
F.cross_entropy(nn.Linear(4,3)(torch.tensor(table[:,:4])),torch.tensor(table[:,4]))
""",
        [("float-class-index", 3, "certain")],
    ),
    "every-label-of-every-row": (
        """\
z=nn.Linear(4,3)(torch.randn(8,4)).log_softmax(1)
y=torch.randint(0,3,(8,1))
loss=-z[torch.arange(8),y].mean()
""",
        [("target-extra-dim", 3, "certain")],
    ),
}

# What looks like a mistake and is none.
RIGHT = {
    "windows-that-are-shifted-where-they-are-cut": """\
from torch.utils.data import Dataset, DataLoader
import tokenizers
class Windows(Dataset):
  def __init__(self, text, length, stride):
    self.read, self.wanted = [], []
    tokens=tokenizers.load("gpt2").encode(text)
    for i in range(0,len(tokens)-length,stride):
      self.read.append(torch.tensor(tokens[i:i+length]))
      self.wanted.append(torch.tensor(tokens[i+1:i+length+1]))
  def __getitem__(self, i): return self.read[i], self.wanted[i]
model=nn.Sequential(nn.Embedding(100,8),nn.Linear(8,100))
for x,y in DataLoader(Windows(open("a").read(),256,128),batch_size=4):
  F.cross_entropy(model(x).flatten(0,1),y.flatten())
""",
    "an-engine-takes-the-loss": """\
def f(engine, criterion, x, y):
  for _ in range(3):
    out=engine(x)
    loss=criterion(out,y)
    engine.backward(loss)
    engine.step()
""",
    "a-graph-that-is-not-known": """\
from autoencoder import Encoder
encoder=Encoder()
x=torch.randn(8,4)
z=encoder(x)
codes=nn.Embedding(5,4)(torch.arange(8)%5)
z=z+(codes-z).detach()
loss=F.mse_loss(z.softmax(1).float(),x)+F.mse_loss(codes.detach(),z)
loss.backward()
""",
    "train-eval-flag": """\
class A(nn.Module):
    def __init__(self,c=4):
        super().__init__()
        self.fc=nn.Linear(3,c)
    def forward(self,x):
        x=self.fc(x)
        return x if self.training else x.softmax(1)
m=A()
loss=nn.CrossEntropyLoss()(m(torch.randn(2,3)),torch.randint(0,4,(2,)))
m.eval()
print(m(torch.randn(2,3)))
""",
    "two-outputs": """\
class A(nn.Module):
    def __init__(self,c=4):
        super().__init__()
        self.fc=nn.Linear(3,c)
    def forward(self,x):
        z=self.fc(x)
        return {'logits':z,'probs':z.softmax(-1)}
m=A()
out=m(torch.randn(2,3))
loss=F.cross_entropy(out['logits'],torch.randint(0,4,(2,)))
""",
    "bce-2col-ok": """\
lin=nn.Linear(3,2)
p=F.softmax(lin(torch.randn(2,3)),dim=1)[:,1]
loss=F.binary_cross_entropy(p,torch.randint(0,2,(2,)).float())
""",
    "unknown-class-axis": """\
class M(nn.Module):
    def __init__(self,v,d):
        super().__init__()
        self.e=nn.Embedding(v,d);self.l=nn.LSTM(d,d,batch_first=True);self.fc=nn.Linear(d,v)
    def forward(self,x):
        o,_=self.l(self.e(x));return self.fc(o)
def train(loader):
    m=M(10,4)
    for x,y in loader:
        z=m(x)
        loss=F.cross_entropy(z.view(-1,z.size(-1)),y.view(-1))
        loss.backward()
""",
    "seg-permute-ok": """\
c=nn.Conv2d(3,5,1)
z=c(torch.randn(2,3,8,8))
loss=F.cross_entropy(z.permute(0,2,3,1).reshape(-1,5),torch.randint(0,5,(2,8,8)).view(-1))
""",
    "pad-ok": """\
PAD=0
from torch.nn.utils.rnn import pad_sequence
m=nn.Sequential(nn.Embedding(9,4,padding_idx=PAD),nn.Linear(4,9))
t=pad_sequence([torch.randint(1,9,(n,)) for n in (3,5)],batch_first=True,padding_value=PAD)
z=m(t[:,:-1])
loss=nn.CrossEntropyLoss(ignore_index=PAD)(z.reshape(-1,9),t[:,1:].reshape(-1))
""",
    "hf-pad": """\
from transformers import AutoModelForCausalLM,AutoTokenizer
tok=AutoTokenizer.from_pretrained('x')
m=AutoModelForCausalLM.from_pretrained('x')
b=tok(['a'],padding=True,return_tensors='pt')
labels=b['input_ids'].clone()
out=m(input_ids=b['input_ids'],attention_mask=b['attention_mask'],labels=labels)
out.loss.backward()
""",
    "focal-ok": """\
l=nn.Linear(4,3)
ce=F.cross_entropy(l(torch.randn(8,4)),torch.randint(0,3,(8,)),reduction='none')
pt=torch.exp(-ce)
loss=((1-pt)**2*ce).mean()
loss.backward()
""",
    "shift1ok": """\
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
ids=torch.randint(0,9,(2,7))
loss=F.cross_entropy(m(ids[:,:-1]).reshape(-1,9),ids[:,1:].reshape(-1))
""",
    "ctor-unknown-w-ok": """\
def f(model,loader,w):
    ce=nn.CrossEntropyLoss(w)
    for x,y in loader:
        loss=ce(model(x),y)
        loss.backward()
""",
    "retained-ok": """\
l=nn.Linear(4,3)
losses=[]
for i in range(3):
    losses.append(F.cross_entropy(l(torch.randn(8,4)),torch.randint(0,3,(8,))))
sum(losses).backward()
""",
    "metrics-ok": """\
l=nn.Linear(3,4)
x,y=torch.randn(8,3),torch.randint(0,4,(8,))
z=l(x)
p=z.softmax(1)
acc=(p.argmax(1)==y).float().mean()
loss=F.cross_entropy(z,y)
loss.backward()
conf=p.max(1).values.mean().item()
""",
    "attn-ok": """\
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.q=nn.Linear(4,4);self.k=nn.Linear(4,4);self.v=nn.Linear(4,4);self.o=nn.Linear(4,3)
    def forward(self,x):
        w=torch.softmax(self.q(x)@self.k(x).transpose(-2,-1)/2,dim=-1)
        return self.o((w@self.v(x)).mean(1))
loss=F.cross_entropy(A()(torch.randn(2,5,4)),torch.randint(0,3,(2,)))
""",
    "predict-method-ok": """\
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.o=nn.Linear(4,3);self.act=nn.Softmax(dim=1)
    def forward(self,x): return self.o(x)
    def predict(self,x): return self.act(self(x))
m=A()
ce=nn.CrossEntropyLoss()
for x,y in loader:
    loss=ce(m(x),y)
    loss.backward()
print(m.predict(torch.randn(2,4)))
""",
    "custom-ce-on-probs-ok": """\
class PL(nn.Module):
    def forward(self,p,y):
        return -(p.gather(1,y.unsqueeze(1)).clamp(min=1e-6)).mean()
m=nn.Sequential(nn.Linear(4,3),nn.Softmax(1))
loss=PL()(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
loss.backward()
""",
    "moe-gate-ok": """\
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.g=nn.Linear(4,2);self.e=nn.ModuleList([nn.Linear(4,3) for _ in range(2)])
    def forward(self,x):
        g=F.softmax(self.g(x),-1)
        return sum(g[:,i:i+1]*e(x) for i,e in enumerate(self.e))
loss=F.cross_entropy(M()(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
    "moe-unknown-e": """\
class M(nn.Module):
    def __init__(self,n):
        super().__init__()
        self.g=nn.Linear(4,n);self.e=nn.ModuleList([nn.Linear(4,3) for _ in range(n)])
    def forward(self,x):
        g=F.softmax(self.g(x),-1)
        o=torch.stack([e(x) for e in self.e],1)
        return (g.unsqueeze(-1)*o).sum(1)
def f(loader,n):
    m=M(n)
    for x,y in loader:
        loss=F.cross_entropy(m(x),y)
        loss.backward()
""",
    "soft-target-ok": """\
s,t=nn.Linear(4,3),nn.Linear(4,3)
x=torch.randn(8,4)
with torch.no_grad(): p=t(x).softmax(-1)
loss=F.cross_entropy(s(x),p)
loss.backward()
""",
    "soft-smoothed-ok": """\
s=nn.Linear(4,3)
y=torch.randint(0,3,(8,))
t=F.one_hot(y,3).float()*0.9+0.1/3
loss=F.cross_entropy(s(torch.randn(8,4)),t)
""",
    "mixup-ok": """\
s=nn.Linear(4,3)
y=F.one_hot(torch.randint(0,3,(8,)),3).float()
lam=0.3
t=lam*y+(1-lam)*y.flip(0)
loss=F.cross_entropy(s(torch.randn(8,4)),t)
""",
    "temperature-ok": """\
s=nn.Linear(4,3)
loss=F.cross_entropy(s(torch.randn(8,4))/0.07,torch.arange(8)%3)
""",
    "contrastive-ok": """\
e=nn.Linear(4,6)
a=F.normalize(e(torch.randn(8,4)),dim=-1)
b=F.normalize(e(torch.randn(8,4)),dim=-1)
loss=F.cross_entropy(a@b.t()/0.07,torch.arange(8))
loss.backward()
""",
    "infonce-cat-ok": """\
e=nn.Linear(4,6)
q,k=e(torch.randn(8,4)),e(torch.randn(8,4)).detach()
pos=(q*k).sum(-1,keepdim=True)
neg=q@torch.randn(6,20)
logits=torch.cat([pos,neg],1)
loss=F.cross_entropy(logits,torch.zeros(8,dtype=torch.long))
loss.backward()
""",
    "bce-sig-ok": """\
m=nn.Sequential(nn.Linear(4,1),nn.Sigmoid())
loss=nn.BCELoss()(m(torch.randn(8,4)).squeeze(1),torch.randint(0,2,(8,)).float())
""",
    "gan-ok": """\
D=nn.Sequential(nn.Linear(4,1))
G=nn.Linear(2,4)
bce=nn.BCEWithLogitsLoss()
optD=torch.optim.Adam(D.parameters());optG=torch.optim.Adam(G.parameters())
for i in range(3):
    real=torch.randn(8,4);fake=G(torch.randn(8,2))
    ld=bce(D(real),torch.ones(8,1))+bce(D(fake.detach()),torch.zeros(8,1))
    optD.zero_grad();ld.backward();optD.step()
    lg=bce(D(fake),torch.ones(8,1))
    optG.zero_grad();lg.backward();optG.step()
""",
    "running-mean-ok": """\
m=nn.Linear(4,3)
opt=torch.optim.SGD(m.parameters(),.1)
x,y=torch.randn(10,4),torch.randint(0,3,(10,))
tot=0.;n=0
for xb,yb in zip(x.split(4),y.split(4)):
    loss=F.cross_entropy(m(xb),yb)
    opt.zero_grad();loss.backward();opt.step()
    tot+=loss.item()*len(xb);n+=len(xb)
print(tot/n)
""",
    "mlm-ok": """\
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
ids=torch.randint(3,9,(2,7))
mask=torch.rand(2,7)<.15
labels=ids.masked_fill(~mask,-100)
inp=ids.masked_fill(mask,1)
loss=F.cross_entropy(m(inp).view(-1,9),labels.view(-1))
""",
    "tagging-ok": """\
class T(nn.Module):
    def __init__(self):
        super().__init__()
        self.e=nn.Embedding(20,8,padding_idx=0);self.l=nn.LSTM(8,8,batch_first=True,bidirectional=True);self.o=nn.Linear(16,5)
    def forward(self,x): return self.o(self.l(self.e(x))[0])
m=T();x=torch.randint(1,20,(4,6));y=torch.randint(0,5,(4,6))
loss=F.cross_entropy(m(x).transpose(1,2),y)
""",
    "hf-ok": """\
from transformers import AutoModelForSequenceClassification
from transformers import AutoModelForSequenceClassification
m=AutoModelForSequenceClassification.from_pretrained('x',num_labels=3)
for b in loader:
    out=m(**b)
    loss=F.cross_entropy(out.logits,b['labels'])
    loss.backward()
""",
    "append-cond": """\
class M(nn.Module):
    def __init__(self,softmax=False):
        super().__init__()
        l=[nn.Linear(4,3)]
        if softmax: l.append(nn.Softmax(1))
        self.n=nn.Sequential(*l)
    def forward(self,x): return self.n(x)
loss=F.cross_entropy(M()(torch.randn(2,4)),torch.randint(0,3,(2,)))
loss2=F.nll_loss(torch.log_softmax(M()(torch.randn(2,4)),1),torch.randint(0,3,(2,)))
""",
    "dice-ok": """\
def dice(p,t): return 1-(2*(p*t).sum()/(p.sum()+t.sum()))
m=nn.Conv2d(3,4,1)
x=torch.randn(2,3,8,8);y=torch.randint(0,4,(2,8,8))
z=m(x)
loss=F.cross_entropy(z,y)+dice(z.softmax(1),F.one_hot(y,4).permute(0,3,1,2).float())
loss.backward()
""",
    "rl-ok": """\
pi=nn.Linear(4,2)
s=torch.randn(5,4)
p=F.softmax(pi(s),-1)
d=torch.distributions.Categorical(p)
a=d.sample()
loss=-(d.log_prob(a)*torch.randn(5)).mean()
loss.backward()
""",
    "vae-ok": """\
e,d=nn.Linear(8,4),nn.Linear(2,8)
x=torch.rand(5,8)
mu,lv=e(x).chunk(2,-1)
z=mu+torch.randn_like(mu)*(0.5*lv).exp()
r=torch.sigmoid(d(z))
loss=F.binary_cross_entropy(r,x,reduction='sum')-0.5*(1+lv-mu.pow(2)-lv.exp()).sum()
loss.backward()
""",
    "cond-unknown-prob": """\
def f(model,x,y,use):
    z=nn.Linear(4,3)(x)
    if use: z=z.softmax(1)
    return F.cross_entropy(z,y)
""",
    "mask-logit-ok": """\
m=nn.Linear(4,5)
y=torch.randint(1,5,(8,))
z=m(torch.randn(8,4))
z[:,0]=float('-inf')
loss=F.cross_entropy(z,y)
""",
    "onehot-bce-ok": """\
m=nn.Linear(4,5)
y=F.one_hot(torch.randint(0,5,(8,)),5).float()
loss=F.binary_cross_entropy_with_logits(m(torch.randn(8,4)),y)
""",
    "namedtuple-ok": """\
from collections import namedtuple
Out=namedtuple('Out',['logits','probs'])
fc=nn.Linear(4,3)
def f(x):
    z=fc(x)
    return Out(logits=z,probs=z.softmax(1))
o=f(torch.randn(2,4))
loss=F.cross_entropy(o.logits,torch.randint(0,3,(2,)))
""",
    "json-cfg-unknown": """\
import json
cfg=json.load(open('c.json'))
m=nn.Sequential(nn.Linear(4,3),getattr(nn,cfg['act'])(dim=-1))
loss=F.cross_entropy(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
    "reassign-criterion": """\
m=nn.Sequential(nn.Linear(4,3),nn.LogSoftmax(1))
crit=nn.CrossEntropyLoss()
crit=nn.NLLLoss()
loss=crit(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
    "multitask-dict": """\
crits={'cls':nn.CrossEntropyLoss(),'tag':nn.BCELoss()}
a,b=nn.Linear(4,3),nn.Linear(4,5)
x=torch.randn(2,4)
outs={'cls':a(x),'tag':b(x).sigmoid()}
tg={'cls':torch.randint(0,3,(2,)),'tag':torch.randint(0,2,(2,5)).float()}
loss=sum(crits[k](outs[k],tg[k]) for k in crits)
loss.backward()
""",
    "freeze-ok": """\
t=nn.Linear(4,3)
for p in t.parameters(): p.requires_grad=False
s=nn.Linear(4,3)
x=torch.randn(8,4)
loss=F.kl_div(F.log_softmax(s(x),-1),F.softmax(t(x),-1),reduction='batchmean')
loss.backward()
""",
    "bilstm-crf-ok": """\
e=nn.Embedding(9,4)
l=nn.Linear(4,9)
ids=torch.randint(0,9,(30,))
for i in range(0,20,5):
    x,y=ids[i:i+5],ids[i+1:i+6]
    loss=F.cross_entropy(l(e(x)),y)
    loss.backward()
""",
    "eval-acc-ok": """\
m=nn.Linear(4,3)
def evaluate(m,dl):
    m.eval();tot=0;correct=0;n=0
    with torch.no_grad():
        for x,y in dl:
            z=m(x)
            tot+=F.cross_entropy(z,y,reduction='sum').item()
            correct+=(z.softmax(1).argmax(1)==y).sum().item();n+=y.size(0)
    return tot/n,correct/n
evaluate(m,torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(10,4),torch.randint(0,3,(10,))),4))
""",
    "grad-pen-ok": """\
m=nn.Linear(4,3)
x=torch.randn(8,4);y=torch.randint(0,3,(8,))
adv=x.detach().clone().requires_grad_(True)
l=F.cross_entropy(m(adv),y)
l.backward()
adv2=(adv+0.1*adv.grad.sign()).detach()
loss=F.cross_entropy(m(adv2),y)
loss.backward()
""",
    "registry-of-two-kinds": """\
import sys
ENDS={"softmax":nn.Softmax(1),"none":nn.Identity()}
m=nn.Sequential(nn.Linear(4,3),ENDS[sys.argv[1]])
F.cross_entropy(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
    "loss-chosen-with-the-model": """\
import sys
if sys.argv[1]=="nll": m,c=nn.Sequential(nn.Linear(4,3),nn.LogSoftmax(1)),nn.NLLLoss()
else: m,c=nn.Linear(4,3),nn.CrossEntropyLoss()
c(m(torch.randn(2,4)),torch.randint(0,3,(2,)))
""",
    "weights-of-classes-in-a-batch": """\
def train(model,data,loader):
    weights=data.class_weights
    for x,y in loader: F.cross_entropy(model(x),y,weight=weights)
""",
    "smoothed-rightly": """\
hot=F.one_hot(torch.randint(0,5,(8,)),5).float()
m=nn.Linear(4,5);x=torch.randn(8,4)
F.cross_entropy(m(x),hot*0.8+(1-hot)*0.2/4)
F.cross_entropy(m(x),hot*0.8+0.2/5)
""",
    "top-k-for-sampling": """\
m=nn.Linear(4,30);x,y=torch.randn(8,4),torch.randint(0,30,(8,))
z=m(x)
F.cross_entropy(z,y).backward()
least=z.topk(5,dim=1).values[:,-1:]
torch.multinomial(z.masked_fill(z<least,float("-inf")).softmax(1),1)
""",
    "top-k-with-the-target": """\
z=nn.Linear(4,30)(torch.randn(8,4));y=torch.randint(0,30,(8,))
least=z.topk(5,dim=1).values[:,-1:]
F.cross_entropy(z.masked_fill((z<least)&~F.one_hot(y,30).bool(),float("-inf")),y)
""",
    "blocks-shifted-once": """\
def batch(data,n):
    ix=torch.randint(len(data)-n,(4,))
    return torch.stack([data[i:i+n] for i in ix]),torch.stack([data[i+1:i+1+n] for i in ix])
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
x,y=batch(torch.randint(0,9,(100,)),8)
F.cross_entropy(m(x).view(-1,9),y.view(-1))
""",
    "next-row": """\
class Steps(torch.utils.data.Dataset):
    def __init__(self,grid): self.grid=grid
    def __len__(self): return 9
    def __getitem__(self,i): return self.grid[i],self.grid[i+1]
m=nn.Sequential(nn.Embedding(9,4),nn.Linear(4,9))
for x,y in torch.utils.data.DataLoader(Steps(torch.randint(0,9,(10,5))),4):
    F.cross_entropy(m(x).transpose(1,2),y)
""",
    "columns-of-a-table": """\
import pandas as pd
df=pd.read_csv("a.csv")
x=torch.tensor(df[["a","b"]].values,dtype=torch.float32)
m=nn.Linear(2,3)
F.cross_entropy(m(x),torch.tensor(df[["p","q","r"]].values,dtype=torch.float32))
F.cross_entropy(m(x),torch.tensor(df["label"].values,dtype=torch.long))
F.cross_entropy(m(x),torch.tensor(df["label"].astype("int64").values))
""",
}

NET = """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l=nn.Linear(4,3)
    def forward(self,x): return self.l(x)
"""
SOFT = NET.replace("self.l(x)\n", "self.l(x).softmax(1)\n").replace("class Net", "class Soft")
CHOOSING = """\
class Net(nn.Module):
    def __init__(self,soft):
        super().__init__()
        self.l=nn.Linear(4,3);self.soft=soft
    def forward(self,x): return self.l(x).softmax(1) if self.soft else self.l(x)
"""
TRAIN = """\
def train(model,loader):
    for x,y in loader:
        F.cross_entropy(model(x),y).backward()
"""

# Projects in which an unknown model may not be taken for the one that there is.
NOT_PAIRED = {
    "models of two kinds": {"a.py": HEAD + NET + SOFT + TRAIN},
    "a loss of its own": {
        "a.py": HEAD + SOFT + TRAIN + "class Brier(nn.Module):\n    def forward(self,p,y): return ((p-y)**2).mean()\n"
    },
    "a function that is a loss": {"a.py": HEAD + SOFT + TRAIN + "def my_loss(p,y): return (p-y).abs().mean()\n"},
    "a part of another model": {
        "a.py": HEAD + SOFT + TRAIN,
        "b.py": HEAD + "from a import *\n" + NET.replace("nn.Linear(4,3)", "nn.Linear(4,3);self.gate=Soft()"),
    },
    "another folder": {"a/net.py": HEAD + SOFT, "b/train.py": HEAD + TRAIN},
    "a model of a library": {
        "a.py": HEAD + "import timm\n" + SOFT + TRAIN + "def main(loader): train(timm.create_model('x'),loader)\n"
    },
    "a head after the model": {"a.py": HEAD + SOFT + TRAIN.replace("model(x)", "head(model(x))")},
    "a logarithm after the model": {"a.py": HEAD + SOFT + TRAIN.replace("model(x)", "torch.log(model(x))")},
    "a model that is followed elsewhere": {
        "a.py": HEAD + SOFT + TRAIN + "F.mse_loss(Soft()(torch.randn(2,4)),torch.rand(2,3))\n",
    },
    "an argument that decides": {"a.py": HEAD + CHOOSING + TRAIN},
}

PROGRAMS = {
    "a name that leads to no loss where it is made": (
        {
            "a.py": "import torch.nn as nn\ncriterion = nn.CrossEntropyLoss()\n"
            "model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))\n",
            "b.py": "import torch\nfrom a import criterion, model\n"
            "x, y = torch.randn(8, 4), torch.arange(8) % 3\ncriterion(model(x), y)\n",
        },
        [("b.py", "softmax-before-cross-entropy", 4, "certain")],
    ),
    "a name that a function asks for which nothing calls": (
        {
            "a.py": "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
            "def train(x, y):\n    loss = F.cross_entropy(model(x), y)\n    loss.backward()\n"
            "model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))\n",
        },
        [("a.py", "softmax-before-cross-entropy", 5, "certain")],
    ),
    "a loss at the end of a chain of imports": (
        {
            "c.py": "import torch.nn.functional as F\ndef fit(model, x, y):\n"
            "    return F.cross_entropy(model(x).softmax(1), y)\n",
            "b.py": "import c\ndef run(model, x, y):\n    return c.fit(model, x, y)\n",
            "a.py": "import torch\nimport torch.nn as nn\nfrom b import run\n"
            "run(nn.Linear(4, 3), torch.randn(8, 4), torch.arange(8) % 3)\n",
        },
        [("c.py", "softmax-before-cross-entropy", 3, "certain")],
    ),
    "factory by name": (
        {
            "net.py": HEAD + SOFT,
            "train.py": HEAD + "import sys\nimport net\n" + TRAIN + "train(getattr(net,sys.argv[1])(),None)\n",
        },
        [("train.py", "softmax-before-cross-entropy", LINES + 5, "likely")],
    ),
    "module by name": (
        {
            "zoo/__init__.py": "",
            "zoo/soft.py": HEAD + SOFT,
            "train.py": HEAD
            + "import importlib,sys\n"
            + TRAIN
            + "def main(loader): train(importlib.import_module(f'zoo.{sys.argv[1]}').Soft(),loader)\n",
        },
        [("train.py", "softmax-before-cross-entropy", LINES + 4, "likely")],
    ),
    "trainer-class": (
        {
            "model.py": HEAD
            + """\
class N(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers=nn.ModuleList([nn.Linear(4,4),nn.Linear(4,3)])
    def forward(self,x):
        for l in self.layers: x=l(x)
        return F.softmax(x,dim=-1)
""",
            "train.py": HEAD
            + """\
from model import N
class Trainer:
    def __init__(self,model,loader):
        self.model=model
        self.criterion=nn.CrossEntropyLoss()
        self.loader=loader
    def fit(self):
        for x,y in self.loader:
            out=self.model(x)
            loss=self.criterion(out,y)
            loss.backward()
if __name__=='__main__':
    Trainer(N(),None).fit()
""",
        },
        [("train.py", "softmax-before-cross-entropy", 13, "certain")],
    ),
    "pairing": (
        {
            "m.py": HEAD
            + """\
REG={}
def register(f):
    REG[f.__name__]=f
    return f
@register
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc=nn.Linear(3,4)
    def forward(self,x): return self.fc(x).softmax(1)
def build(name): return REG[name]()
""",
            "t.py": HEAD
            + """\
import sys
from m import build
net=build(sys.argv[1])
ce=nn.CrossEntropyLoss()
def train(loader):
    for x,y in loader:
        loss=ce(net(x),y)
        loss.backward()
""",
        },
        [("t.py", "softmax-before-cross-entropy", 10, "certain")],
    ),
}


def found(folder: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int, str]]:
    """What is found in files, at more than info."""
    monkeypatch.chdir(folder)
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    examined = examine([Path()])
    assert all(file.partly for file in examined.passed)
    return [(f.path, f.rule, f.line, f.confidence) for f in examined.findings if f.confidence != "info"]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_where_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = MISTAKES[name]
    assert found(tmp_path, {"a.py": HEAD + text}, monkeypatch) == [
        ("a.py", rule, line + LINES, confidence) for rule, line, confidence in expected
    ]


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_gives_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, {"a.py": HEAD + RIGHT[name]}, monkeypatch) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_followed_across_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, expected = PROGRAMS[name]
    assert found(tmp_path, files, monkeypatch) == expected


@pytest.mark.parametrize("name", NOT_PAIRED)
def test_a_model_is_not_guessed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [rule for _, rule, _, _ in found(tmp_path, NOT_PAIRED[name], monkeypatch)]
    assert "softmax-before-cross-entropy" not in rules


def test_messages_name_the_place_and_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = "m = nn.Sequential(nn.Linear(4, 10), nn.Softmax(dim=1))\n"
    text = HEAD + model + "F.cross_entropy(m(torch.randn(2, 4)), torch.zeros(2).long())\n"
    Path("a.py").write_text(text)
    (finding,) = examine([Path()]).findings
    assert "softmax at a.py:4 feeds cross_entropy" in finding.message
    assert "1.461 for 10 classes" in finding.message
    assert finding.fix == RULES["softmax-before-cross-entropy"].remedy


MISTAKE = "nn.CrossEntropyLoss(label_smoothing=10)"


@pytest.mark.parametrize(
    ("comment", "count"),
    [
        ("", 1),
        ("  # crossentropy: ignore[label-smoothing-range] a test", 0),
        ("  # crossentropy: ignore", 0),
        ("  # crossentropy: ignore[mean-of-means, label-smoothing-range]", 0),
        ("  # crossentropy: ignore[mean-of-means]", 1),
    ],
)
def test_comments_silence_the_line_they_are_on(
    comment: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(found(tmp_path, {"a.py": f"{HEAD}{MISTAKE}{comment}\n"}, monkeypatch)) == count


def test_notebooks_have_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [
        {"cell_type": "markdown", "source": ["# title"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import torch.nn as nn\n"]},
        {"cell_type": "code", "source": f"!pip install torch\nloss = {MISTAKE}"},
    ]
    Path("a.ipynb").write_text(json.dumps({"cells": cells}))
    (finding,) = examine([Path("a.ipynb")]).findings
    assert (finding.cell, finding.line, finding.column) == (2, 2, 8)


HOSTILE = {
    "syntax.py": b"def f(:\n",
    "python2.py": b"print 'a'\n",
    "encoding.py": b"# -*- coding: no-such -*-\n",
    "latin.py": b"x = '\xe4'\n",
    "null.py": b"x = 1\x00\n",
    "deep.py": b"x = " + b"(" * 5000 + b")" * 5000 + b"\n",
    "large.py": b"# " + b"x" * 3_000_000,
    "list.ipynb": b"[]",
    "broken.ipynb": b"{",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_read_is_skipped_and_said(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(HOSTILE[name])
    (tmp_path / "right.py").write_text(f"{HEAD}{MISTAKE}\n")
    examined = examine([tmp_path])
    assert [Path(file.path).name for file in examined.passed] == [name]
    assert len(examined.findings) == 1  # what else there is, is examined all the same


TANGLES = {
    "imports of each other": {"a.py": f"import b\n{HEAD}{MISTAKE}\n", "b.py": "import a\nfrom a import *\n"},
    "import of itself": {"a.py": f"import a\nfrom a import x\n{HEAD}{MISTAKE}\n"},
    "a function that calls itself": {"a.py": f"{HEAD}def f(n):\n    return f(n + 1) + f(n + 2)\nf(0)\n{MISTAKE}\n"},
    "a long chain": {"a.py": f"{HEAD}{MISTAKE}\nx = {' + '.join(['1'] * 900)}\n"},
    "loops in loops": {
        "a.py": f"{HEAD}{MISTAKE}\n"
        + "".join(f"{' ' * i}for x{i} in range(10 ** 9):\n" for i in range(15))
        + " " * 15
        + "y = x0\n"
    },
    "a loop without an end": {"a.py": f"{HEAD}{MISTAKE}\nrows = [1]\nwhile True:\n    rows += rows\n"},
    "a class that is its own base": {"a.py": f"{HEAD}{MISTAKE}\nclass A: pass\nclass A(A): pass\nA().x.y()\n"},
    "large numbers": {"a.py": f"{HEAD}{MISTAKE}\nx = 9 ** 9 ** 9 ** 9\ny = 'a' * 10 ** 12\nz = [0] * 10 ** 12\n"},
}


@pytest.mark.parametrize("name", TANGLES)
def test_tangles_come_to_an_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [rule for _, rule, _, _ in found(tmp_path, TANGLES[name], monkeypatch)] == ["label-smoothing-range"]


def test_links_are_not_followed_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{HEAD}{MISTAKE}\n")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "nothing")
    examined = examine([tmp_path, tmp_path / "a.py"])
    assert examined.files == 2
    assert len(examined.findings) == 1
    assert [Path(file.path).name for file in examined.passed] == ["nowhere.py"]


def test_progress_and_processes(tmp_path: Path) -> None:
    for i in range(70):
        (tmp_path / f"m{i}.py").write_text(f"{HEAD}{MISTAKE}\n")
    seen: list[tuple[int, int]] = []
    examined = examine([tmp_path], jobs=2, progress=lambda done, total: seen.append((done, total)))
    assert examined.files == len(examined.findings) == 70
    assert seen[-1] == (70, 70)


@pytest.mark.parametrize("folder", [Path(crossentropy.__file__).parent, Path(torch.nn.__file__).parent])
def test_large_packages_are_examined_without_a_finding(folder: Path) -> None:
    examined = examine([folder])
    assert examined.files > 20
    strong = {Path(finding.path).name for finding in examined.findings if finding.confidence != "info"}
    assert strong <= {"digits.py", "_inputs.py"}  # where softmax is taken twice on purpose, to show what it costs
    assert not examined.passed
