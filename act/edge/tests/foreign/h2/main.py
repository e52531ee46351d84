"""All cases, against an edge: ADDRESS TLS-ADDRESS CERTIFICATE. Says what came, as JSON."""

import json
import sys

import library
import table

# These put their cases into the table, in this order.
import frames
import compression
import messages
import floods


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def main():
    plain, sealed, certificate = address(sys.argv[1]), address(sys.argv[2]), sys.argv[3]
    json.dump(table.run_all(library.cases(plain, sealed, certificate) + table.CASES, plain), sys.stdout)


main()
