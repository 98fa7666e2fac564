"""An access request against a connector that is running: a sync, a grant, the same grant again, a revoke, and a refusal.

    pip install -r examples/python/requirements.txt
    buildkite-connector serve --sandbox --provisioning
    python examples/python/access_request.py --team Platform --user priya@northwind-rail.example
"""

import argparse
import sys

from baton_client import Connector, Refused, login, resource_pb2


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main():
    parser = argparse.ArgumentParser(description="Runs an access request against a connector with --provisioning.")
    parser.add_argument("--address", default="127.0.0.1:50051", help="host:port or unix:PATH")
    parser.add_argument("--bearer-file", help="the bearer of a caller of the callers file")
    parser.add_argument("--ca", help="root certificates, PEM; without them the connection is not encrypted")
    parser.add_argument("--team", required=True, help="display name of the team")
    parser.add_argument("--user", required=True, help="login of the user")
    given = parser.parse_args()
    bearer = read(given.bearer_file).decode().strip() if given.bearer_file else None
    connector = Connector(given.address, bearer, read(given.ca) if given.ca else None)

    connector.validate()
    resources, entitlements, grants = connector.sync()
    users, teams = resources["user"], resources["team"]
    print(f"synced: {len(users)} users, {len(teams)} teams, {len(entitlements)} entitlements, {len(grants)} grants")

    user = next(user for user in users.values() if login(user) == given.user)
    member = next(
        entitlement
        for entitlement in entitlements.values()
        if entitlement.slug == "member" and entitlement.resource.display_name == given.team
    )
    print(f"grant: {connector.grant(member, user)}")
    print(f"again: {connector.grant(member, user)}")
    print(f"revoke: {connector.revoke(member, user)}")
    print(f"again: {connector.revoke(member, user)}")

    outsider = resource_pb2.Resource(id=resource_pb2.ResourceId(resource_type="user", resource="nobody@example.com"))
    try:
        connector.grant(member, outsider)
    except Refused as refused:
        print(f"refused: {refused}")
    connector.close()


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(f"error: {refused}")
