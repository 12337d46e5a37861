"""What a runner is told before it begins, and what it must therefore keep to itself.

`environment` is the one table of variables, and `reference` writes its page; `mounted` reads the
secrets in files, `known_secrets` gathers what is redacted, by value and by rule.
"""
