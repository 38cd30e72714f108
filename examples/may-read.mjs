#!/usr/bin/env node
// May this engineer read this data now? Prints the answer, and ends with 0 for an allow alone.
//   CONSENTRY_TOKEN=... examples/may-read.mjs http://127.0.0.1:8620 vendor/ada fabrikam/signInLogs SR-1
// Node 18 or newer, nothing else. `fetch` keeps its connections.

/** Whether the read is allowed, and why or why not. Whatever goes wrong is a no. */
export async function mayRead(url, token, engineer, resource, supportRequest) {
  try {
    const response = await fetch(`${url}/access/v1/evaluation`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: JSON.stringify({
        subject: { type: "SupportEngineer", id: engineer },
        action: { name: "read" },
        resource: { type: "DiagnosticData", id: resource },
        context: { support_request: supportRequest },
      }),
      redirect: "error",
      signal: AbortSignal.timeout(2000),
    });
    const answer = await response.json();
    if (response.status !== 200) return { allowed: false, code: answer.code };
    return { allowed: answer.decision === true, code: answer.context.reason.code };
  } catch (error) {
    return { allowed: false, code: `unavailable: ${error.name}` };
  }
}

const [url, engineer, resource, supportRequest] = process.argv.slice(2);
const { allowed, code } = await mayRead(url, process.env.CONSENTRY_TOKEN, engineer, resource, supportRequest);
console.log(allowed ? "allowed" : "denied", code);
process.exitCode = allowed ? 0 : 1;
