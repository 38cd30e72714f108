"""Asks through `apparitor`, an AuthZEN client by others, and prints what it got, one JSON value a line."""
import asyncio
import json
import sys

from apparitor.client import AuthZENClient
from apparitor.config import ScannerConfig
from apparitor.errors import AuthZENError
from apparitor.models import (
    Action,
    BatchEvaluationRequest,
    EvaluationItem,
    EvaluationRequest,
    EvaluationsOptions,
    Resource,
    Subject,
)


async def main(url, token):
    headers = {"Authorization": f"Bearer {token}"}
    config = ScannerConfig(
        pdp_url=url, allow_insecure_pdp=True, default_headers=headers, request_budget_s=20, read_timeout_s=20
    )
    ada, read = Subject(type="SupportEngineer", id="vendor/ada"), Action(name="read")
    data = [Resource(type="DiagnosticData", id=f"fabrikam/{category}") for category in ("signInLogs", "auditLogs")]
    context = {"support_request": "SR-1"}
    async with AuthZENClient(config) as client:
        for subject in (ada, Subject(type="SupportEngineer", id="vendor/ben")):
            answer = await client.evaluate(EvaluationRequest(subject=subject, action=read, resource=data[0], context=context))
            print(json.dumps([answer.decision, answer.context["reason"]["code"]]))
        for semantic in ("execute_all", "deny_on_first_deny", "permit_on_first_permit"):
            batch = BatchEvaluationRequest(
                subject=ada,
                action=read,
                context=context,
                evaluations=[EvaluationItem(resource=data[1]), EvaluationItem(resource=data[0])],
                options=EvaluationsOptions(evaluations_semantic=semantic),
            )
            answers = await client.evaluate_batch(batch)
            print(json.dumps([answer.decision for answer in answers.evaluations]))
        try:
            await client.evaluate(EvaluationRequest(subject=ada, action=read, resource=Resource(type="DiagnosticData", id="?")))
        except AuthZENError as error:
            print(json.dumps(str(error)))


asyncio.run(main(*sys.argv[1:]))
