"""The OpenAPI description is true: schemathesis sends what it says, and more, and finds no fault."""

import pytest
from hypothesis import HealthCheck, given, settings
from stand_ins_of_serve import embed
from test_under_load import listening

from revisage.restore.controls import declared


# No schema says which bytes are an image: those it makes up are refused, and rightly so.
@pytest.mark.slow
def test_schemathesis_finds_no_fault(tmp_path):
    import schemathesis  # takes seconds
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    able = {"repairer": lambda image: image}  # without one, what asks for it is a 501, which counts as a fault
    with listening(tmp_path, embed=embed, of_restorer=able) as (address, _):
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        operations = [result.ok() for result in schema.get_all_operations()]
        assert len(operations) >= 12
        for operation in operations:

            @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy())
            def check(case):
                case.call_and_validate(excluded_checks=[positive_data_acceptance])

            check()


def test_every_control_is_a_field(serve):
    described = serve().get("/openapi.json").json()
    query = {one["name"] for one in described["paths"]["/v1/restore"]["post"]["parameters"]}
    form = described["paths"]["/v1/restore"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    for name, _, option in declared():
        field = option.flag.replace("-", "_") or name
        assert field in form["properties"]
        assert field in query or option.files
