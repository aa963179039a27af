"""gradviz: see the computation graph that autograd keeps, and the part it does not keep."""

__version__ = "0.1.0"
