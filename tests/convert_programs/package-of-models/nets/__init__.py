from .Plain import Plain
from .Wide import Wide
