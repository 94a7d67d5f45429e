"""The messages of Prometheus' remote-write and remote-read protocols: protobuf, compressed with snappy.

The messages are described here, so that no compiler of protobuf is needed. Source: `prompb/remote.proto` and `prompb/types.proto` of
Prometheus.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from novacron.errors import StorageError, UnsupportedOperationError
from novacron.records.series import Sample, Series

REPEATED, OPTIONAL = 3, 1
EQUAL = 0
"""The type of a matcher that compares for equality."""
DOUBLE, INT64, INT32, STRING, MESSAGE = 1, 3, 5, 9, 11
MESSAGES: dict[str, tuple[tuple[str, int, int, int, str], ...]] = {
    "Label": (("name", 1, OPTIONAL, STRING, ""), ("value", 2, OPTIONAL, STRING, "")),
    "Sample": (("value", 1, OPTIONAL, DOUBLE, ""), ("timestamp", 2, OPTIONAL, INT64, "")),
    "TimeSeries": (("labels", 1, REPEATED, MESSAGE, "Label"), ("samples", 2, REPEATED, MESSAGE, "Sample")),
    "WriteRequest": (("timeseries", 1, REPEATED, MESSAGE, "TimeSeries"),),
    "LabelMatcher": (("type", 1, OPTIONAL, INT32, ""), ("name", 2, OPTIONAL, STRING, ""), ("value", 3, OPTIONAL, STRING, "")),
    "Query": (
        ("start_timestamp_ms", 1, OPTIONAL, INT64, ""),
        ("end_timestamp_ms", 2, OPTIONAL, INT64, ""),
        ("matchers", 3, REPEATED, MESSAGE, "LabelMatcher"),
    ),
    "ReadRequest": (("queries", 1, REPEATED, MESSAGE, "Query"),),
    "QueryResult": (("timeseries", 1, REPEATED, MESSAGE, "TimeSeries"),),
    "ReadResponse": (("results", 1, REPEATED, MESSAGE, "QueryResult"),),
}
"""The fields of each message: name, number, how often, type, and the message that it contains."""


class RemoteMessages:
    """Writes and reads the bodies of requests.

    Raises:
        UnsupportedOperationError: protobuf or cramjam is not installed.
    """

    def __init__(self) -> None:
        try:
            import cramjam
            from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        except ImportError as error:
            hint = "install them: pip install 'novacron[remote-write]'"
            raise UnsupportedOperationError("remote-write needs the packages protobuf and cramjam", hint=hint) from error
        file = descriptor_pb2.FileDescriptorProto(name="novacron/remote.proto", package="novacron.remote", syntax="proto3")
        for message, fields in MESSAGES.items():
            described = file.message_type.add(name=message)
            for name, number, label, kind, of in fields:
                more = {"type_name": f".novacron.remote.{of}"} if of else {}
                described.field.add(name=name, number=number, label=label, type=kind, **more)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        found = {name: pool.FindMessageTypeByName(f"novacron.remote.{name}") for name in MESSAGES}
        self._classes: dict[str, Any] = {name: message_factory.GetMessageClass(one) for name, one in found.items()}
        self._snappy: Any = cramjam.snappy

    def write_request(self, samples: Iterable[Sample]) -> bytes:
        """Return samples as the body of a remote-write request. Each needs a time."""
        request = self._classes["WriteRequest"]()
        for sample in samples:
            series = request.timeseries.add()
            for name, value in sorted({**sample.labels, "__name__": sample.metric}.items()):
                if value:  # an empty label is no label in Prometheus, and is rejected
                    series.labels.add(name=name, value=value.encode(errors="replace").decode())
            series.samples.add(value=sample.value, timestamp=round((sample.at or 0.0) * 1000))
        return bytes(self._snappy.compress_raw(request.SerializeToString()))

    def read_request(self, metric: str, labels: Mapping[str, str], since: float, until: float) -> bytes:
        """Return the body of a remote-read request for the series of a metric."""
        request = self._classes["ReadRequest"]()
        query = request.queries.add(start_timestamp_ms=math.floor(since * 1000), end_timestamp_ms=math.ceil(until * 1000))
        for name, value in {**labels, "__name__": metric}.items():
            query.matchers.add(type=EQUAL, name=name, value=value)
        return bytes(self._snappy.compress_raw(request.SerializeToString()))

    def read_response(self, body: bytes, metric: str) -> list[Series]:
        """Return the series of a remote-read response, sorted by labels.

        Raises:
            StorageError: the body is no such response.
        """
        response = self._classes["ReadResponse"]()
        try:
            response.ParseFromString(bytes(self._snappy.decompress_raw(body)))
        except Exception as error:
            raise StorageError("the answer is not one of Prometheus' remote read", hint="check the address") from error
        found = []
        for result in response.results:
            for series in result.timeseries:
                labels = {label.name: label.value for label in series.labels if label.name != "__name__"}
                points = tuple((one.timestamp / 1000, one.value) for one in series.samples if not math.isnan(one.value))
                found.append(Series(metric=metric, labels=labels, points=points))
        return sorted(found, key=lambda one: sorted(one.labels.items()))


__all__ = ["RemoteMessages"]
