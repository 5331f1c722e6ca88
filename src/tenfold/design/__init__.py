"""The design file as types: loader, schema, kinds protocol."""
