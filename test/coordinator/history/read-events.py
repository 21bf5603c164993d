# TensorBoard's event files by Google's own protobuf runtime, with the messages as event.proto and summary.proto have them:
# prints each event as a line of JSON.

import json
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import MessageFactory

Field = descriptor_pb2.FieldDescriptorProto
types = {
    "double": Field.TYPE_DOUBLE,
    "float": Field.TYPE_FLOAT,
    "int64": Field.TYPE_INT64,
    "string": Field.TYPE_STRING,
    "enum": Field.TYPE_INT32,
}
messages = {
    "Event": [("wall_time", 1, "double"), ("step", 2, "int64"), ("file_version", 3, "string"), ("summary", 5, "Summary"),
              ("session_log", 7, "SessionLog")],
    "Summary": [("value", 1, "*Value")],
    "Value": [("tag", 1, "string"), ("simple_value", 2, "float")],
    "SessionLog": [("status", 1, "enum")],
}

file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="tensorflow", syntax="proto3")
for name, fields in messages.items():
    message = file.message_type.add(name=name)
    for field, number, kind in fields:
        label = Field.LABEL_REPEATED if kind.startswith("*") else Field.LABEL_OPTIONAL
        added = message.field.add(name=field, number=number, label=label)
        if kind in types:
            added.type = types[kind]
        else:
            added.type = Field.TYPE_MESSAGE
            added.type_name = ".tensorflow." + kind.lstrip("*")
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
Event = MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("tensorflow.Event"))

data = open(sys.argv[1], "rb").read()
at = 0
while at < len(data):
    (length,) = struct.unpack_from("<Q", data, at)
    event = Event.FromString(data[at + 12 : at + 12 + length])
    at += length + 16
    known = event.ByteSize()
    event.DiscardUnknownFields()
    print(json.dumps({
        "wallTime": event.wall_time,
        "step": event.step,
        "unknownBytes": known - event.ByteSize(),
        **({"fileVersion": event.file_version} if event.file_version else {}),
        **({"sessionStatus": event.session_log.status} if event.HasField("session_log") else {}),
        "scalars": {value.tag: value.simple_value for value in event.summary.value},
    }))
