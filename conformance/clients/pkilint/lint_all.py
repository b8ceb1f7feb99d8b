"""Lints certificates (PEM files) with pkilint's RFC 5280 validators: what `lint_pkix_cert lint -f JSON` does, for
many files in one process. Prints {"FILE": [{"severity", "code", "message", "node"}, ...]}.
"""

import json
import sys

from pkilint import loader
from pkilint.pkix import certificate, extension, name
from pkilint.validation import ValidationFindingSeverity


def findings(validator, path: str) -> list:
    with open(path, "rb") as file:
        document = loader.RFC5280CertificateDocumentLoader().load_pem_file(file, path)
    return [
        {
            "severity": description.finding.severity.name,
            "code": description.finding.code,
            "message": description.message or "",
            "node": result.node.path,
        }
        for result in validator.validate(document.root)
        for description in result.finding_descriptions
        if description.finding.severity <= ValidationFindingSeverity.WARNING
    ]


def main() -> None:
    validator = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
    # The files come on standard input, one a line.
    json.dump({path: findings(validator, path) for path in map(str.strip, sys.stdin) if path}, sys.stdout)


if __name__ == "__main__":
    main()
