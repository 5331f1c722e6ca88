"""Plan, Finding and Run as text, json, html, markdown, sarif."""
