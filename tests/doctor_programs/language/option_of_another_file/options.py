import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="plain")
options = parser.parse_args()
