"""The architectures of the course, one file a family, each to be read beside its paper.

from unmagic import zoo
net = zoo.cifar_resnet(20)                       # the paper's sizes unless told otherwise
print(zoo.budget(net, (3, 32, 32)))              # parameters, multiply–adds, memory, receptive field, a row a layer
"""

from unmagic.zoo.alexnet import AlexNet
from unmagic.zoo.all_cnn import AllCNN
from unmagic.zoo.binary import BinaryAlexNet, BinaryConv2d
from unmagic.zoo.budgets import Budget, budget
from unmagic.zoo.densenet import DenseNet, densenet121, small_densenet
from unmagic.zoo.dirac import DiracNet
from unmagic.zoo.fcn import FCN
from unmagic.zoo.googlenet import GoogLeNet
from unmagic.zoo.highway import Highway
from unmagic.zoo.lenet import LeNet5
from unmagic.zoo.mobilenet import MobileNet, SeparableBlock
from unmagic.zoo.nin import NiN
from unmagic.zoo.randwire import RandWire
from unmagic.zoo.resnet import ResNet, cifar_resnet, plain, resnet, resnext
from unmagic.zoo.simpnet import SAFPooling, SimpNet
from unmagic.zoo.vanilla import VanillaCNN, delta_orthogonal_
from unmagic.zoo.vgg import VGG

__all__ = [
    "FCN",
    "VGG",
    "AlexNet",
    "AllCNN",
    "BinaryAlexNet",
    "BinaryConv2d",
    "Budget",
    "DenseNet",
    "DiracNet",
    "GoogLeNet",
    "Highway",
    "LeNet5",
    "MobileNet",
    "NiN",
    "RandWire",
    "ResNet",
    "SAFPooling",
    "SeparableBlock",
    "SimpNet",
    "VanillaCNN",
    "budget",
    "cifar_resnet",
    "delta_orthogonal_",
    "densenet121",
    "plain",
    "resnet",
    "resnext",
    "small_densenet",
]
