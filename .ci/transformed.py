"""Writes the templates as CloudFormation receives them, with SAM's short forms expanded: one JSON file each, into a directory.

It does not call AWS. Usage: transformed.py DIRECTORY TEMPLATE...
"""

import json
import pathlib
import sys

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


def artifact(value):
    """The place of a package as `sam package` would set it; the code is not read."""
    return {"Bucket": "artifacts", "Key": value} if isinstance(value, str) else value


def transformed(path):
    template = yaml_parse(path.read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if "CodeUri" in properties:
            properties["CodeUri"] = artifact(properties["CodeUri"])
        if resource["Type"] == "AWS::CloudFormation::Stack":
            properties["TemplateURL"] = "https://artifacts.s3.amazonaws.com/" + properties["TemplateURL"]
    session = boto3.session.Session(region_name="us-east-1")
    return Translator({}, Parser(), boto_session=session).translate(template, {})


directory = pathlib.Path(sys.argv[1])
directory.mkdir(parents=True, exist_ok=True)
for name in sys.argv[2:]:
    path = pathlib.Path(name)
    text = json.dumps(transformed(path), indent=1, default=str)
    (directory / (path.stem + ".json")).write_text(text, encoding="utf-8")
