"""The applications of the sample tenant, with publicly known ids and secrets, the same in every demo.

A database that has them is good for nothing but a demonstration, and `vigie serve` refuses it.
"""

import msgspec


class SampleClient(msgspec.Struct, frozen=True):
    """An application and the secret that it proves itself by."""

    name: str
    client_id: str
    secret: str


READER = SampleClient(
    "Sample reader", "5a3b1e00-0000-4000-8000-000000000001", "sample-reader-secret-known-to-everybody"
)
RESPONDER = SampleClient(
    "Sample responder", "5a3b1e00-0000-4000-8000-000000000002", "sample-responder-secret-known-to-everybody"
)
BYSTANDER = SampleClient(
    "Sample bystander", "5a3b1e00-0000-4000-8000-000000000003", "sample-bystander-secret-known-to-everybody"
)
SAMPLE_CLIENTS = (READER, RESPONDER, BYSTANDER)
