"""Objects of this library in files that hold no code.

file         what users call: `save` and `load`
encode       objects as records that refer to earlier ones, and arrays
decode       objects from records, by the constructors of their classes
field_types  whether values are what fields are declared to be
state        what torch modules of this library consist of
registry     the classes that files may name
functions    the functions of torch that they may name
container    the file: safetensors, with sizes and a hash that are checked first
"""

from neural_kernels.saving.file import load, save

__all__ = ["load", "save"]
