"""The calls that an access-request platform makes to a connector, in Python.

The stubs are generated from the repository's `proto/` when this module is imported, into a directory that is removed at the end.
"""

import atexit
import pathlib
import secrets
import string
import sys
import tempfile
import time

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def _generate_stubs():
    """Compiles `proto/` with the compiler that grpcio-tools brings, and makes the result importable."""
    directory = tempfile.TemporaryDirectory(prefix="buildkite-connector-stubs-")
    atexit.register(directory.cleanup)
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    files = sorted(str(file.relative_to(PROTO)) for file in PROTO.rglob("*.proto"))
    out = directory.name
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}", *files]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"the protos in {PROTO} could not be compiled")
    sys.path.insert(0, out)


_generate_stubs()

from c1.connector.v2 import (  # noqa: E402  (generated above)
    annotations_pb2,
    connector_pb2,
    connector_pb2_grpc,
    entitlement_pb2,
    entitlement_pb2_grpc,
    grant_pb2,
    grant_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
    traits_pb2,
)

# Time for one call. The connector waits for Buildkite's rate limit within it, up to 45 seconds by default.
TIMEOUT = 60
# How often a call is sent that ends as UNAVAILABLE or DEADLINE_EXCEEDED.
ATTEMPTS = 5


class Refused(Exception):
    """A call that failed for a reason that sending it again does not change."""

    def __init__(self, error):
        self.code = error.code()
        info = _detail(error, error_details_pb2.ErrorInfo, lambda info: info.domain == "buildkite-connector")
        self.reason = info.reason if info else ""
        super().__init__(f"{self.code.name} {self.reason}: {error.details()}")


class Connector:
    """A connector at an address: `host:port` or `unix:PATH`."""

    def __init__(self, address, bearer=None, root_certificates=None):
        # gRPC's C core would send the path of a Unix socket as the authority, which is not a valid one.
        options = [("grpc.default_authority", "localhost")] if address.startswith("unix:") else []
        if root_certificates is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self.channel = grpc.secure_channel(address, credentials, options)
        self.metadata = [("authorization", f"Bearer {bearer}")] if bearer else []
        self.connector = connector_pb2_grpc.ConnectorServiceStub(self.channel)
        self.types = resource_pb2_grpc.ResourceTypesServiceStub(self.channel)
        self.resources = resource_pb2_grpc.ResourcesServiceStub(self.channel)
        self.entitlements = entitlement_pb2_grpc.EntitlementsServiceStub(self.channel)
        self.grants = grant_pb2_grpc.GrantsServiceStub(self.channel)
        self.manager = grant_pb2_grpc.GrantManagerServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def call(self, method, request):
        """Sends a request, and sends it again after UNAVAILABLE and DEADLINE_EXCEEDED. Raises `Refused`."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return method(request, timeout=TIMEOUT, metadata=self.metadata)
            except grpc.RpcError as error:
                passing = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                if not passing or attempt == ATTEMPTS:
                    raise Refused(error) from error
                retry = _detail(error, error_details_pb2.RetryInfo)
                time.sleep(retry.retry_delay.ToTimedelta().total_seconds() if retry else attempt)

    def pages(self, method, request):
        """The rows of all pages. A page may be short or empty: only an empty token ends a list."""
        while True:
            page = self.call(method, request)
            yield from page.list
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def validate(self):
        self.call(self.connector.Validate, connector_pb2.ConnectorServiceValidateRequest())

    def sync(self):
        """Everything that can be governed: resources by type, entitlements and grants, each by id."""
        # One id on every call of a sync lets the connector send the next requests ahead.
        sync_id = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(27))
        resources, entitlements, grants = {}, {}, {}
        types = self.pages(
            self.types.ListResourceTypes,
            resource_pb2.ResourceTypesServiceListResourceTypesRequest(active_sync_id=sync_id),
        )
        for kind in types:
            rows = self.pages(
                self.resources.ListResources,
                resource_pb2.ResourcesServiceListResourcesRequest(resource_type_id=kind.id, active_sync_id=sync_id),
            )
            # Rows are kept by id: a list that changes while it is read may show one twice.
            resources[kind.id] = {row.id.resource: row for row in rows}
            if trait(kind, annotations_pb2.SkipEntitlementsAndGrants) is not None:
                continue
            for resource_id, resource in list(resources[kind.id].items()):
                wanted = {"resource": resource, "active_sync_id": sync_id}
                offered = entitlement_pb2.EntitlementsServiceListEntitlementsRequest(**wanted)
                held = grant_pb2.GrantsServiceListGrantsRequest(**wanted)
                try:
                    found = list(self.pages(self.entitlements.ListEntitlements, offered))
                    holders = list(self.pages(self.grants.ListGrants, held))
                except Refused as refused:
                    # NOT_FOUND is only said of what was proven gone. Every other code ends the sync: what is missing is not gone.
                    if refused.code != grpc.StatusCode.NOT_FOUND:
                        raise
                    del resources[kind.id][resource_id]
                    continue
                entitlements.update((row.id, row) for row in found)
                grants.update((row.id, row) for row in holders)
        self.call(self.connector.Cleanup, connector_pb2.ConnectorServiceCleanupRequest(active_sync_id=sync_id))
        return resources, entitlements, grants

    def grant(self, entitlement, user):
        """Gives `user` the entitlement; returns what came of it."""
        request = grant_pb2.GrantManagerServiceGrantRequest(entitlement=entitlement, principal=user)
        answer = self.call(self.manager.Grant, request)
        if trait(answer, annotations_pb2.GrantAlreadyExists) is not None:
            return "already held"
        replaced = trait(answer, annotations_pb2.GrantReplaced)
        return f"replaced {replaced.replaced_grant_id}" if replaced else "granted"

    def revoke(self, entitlement, user):
        """Takes exactly this entitlement from `user`; returns what came of it."""
        grant = grant_pb2.Grant(entitlement=entitlement, principal=user)
        answer = self.call(self.manager.Revoke, grant_pb2.GrantManagerServiceRevokeRequest(grant=grant))
        return "not held" if trait(answer, annotations_pb2.GrantAlreadyRevoked) is not None else "revoked"


def trait(row, message_type):
    """The annotation of this type, if the message carries one."""
    for annotation in row.annotations:
        if annotation.Is(message_type.DESCRIPTOR):
            message = message_type()
            annotation.Unpack(message)
            return message
    return None


def login(user):
    """The name that a user signs in with."""
    found = trait(user, traits_pb2.UserTrait)
    return found.login if found else ""


def _detail(error, message_type, wanted=lambda message: True):
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        message = message_type()
        if detail.Unpack(message) and wanted(message):
            return message
    return None
