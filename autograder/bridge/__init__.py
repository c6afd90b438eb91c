"""The bridge between the examiner, which runs the tests, and the student's side, which runs the student's code.

    examiner -> proxy -> codec -> transport -> codec -> student

One request, one answer, always asked by the trusted side. `codec` knows values and bytes, `names` what both sides have
under the same name, `student` is the untrusted end, `proxy` and `gradient` the trusted end, `transport` moves bytes.
"""

from autograder.bridge.codec import LIMITS, Limits, Message, Record, WireError, decode, encode
from autograder.bridge.names import SharedNames
from autograder.bridge.proxy import Bridge, Handle, StudentError
from autograder.bridge.student import Student
from autograder.bridge.transport import InProcess, Transport

__all__ = [
    "LIMITS",
    "Bridge",
    "Handle",
    "InProcess",
    "Limits",
    "Message",
    "Record",
    "SharedNames",
    "Student",
    "StudentError",
    "Transport",
    "WireError",
    "decode",
    "encode",
]
