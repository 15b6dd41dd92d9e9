"""Measure the service beside its peers, round by round: bench.py [ROUNDS SECONDS].

Each is started as its own documentation says, with its access log on. It prints
how many times as fast api.py answers: the median of the rounds, the least and
the greatest. It needs npm, and wrk from Debian.
"""
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from service import PROJECT, Client, free_port, server

PACKAGES = ['fastapi==0.165.0', 'uvicorn[standard]==0.54.0', 'flask==3.1.3']
PACKAGES += ['gunicorn==27.0.1', '-r', PROJECT / 'requirements.txt']
KEY = 'k' * 32
API = 'api.py'
FASTAPI = 'FastAPI, `uvicorn[standard]`'
FLASK = 'Flask, gunicorn with 4 workers'
JSON_SERVER = 'json-server, without tokens'
LINES = {
    API: f'python {PROJECT}/api.py',
    FASTAPI: 'uvicorn --port {} peer_fastapi:app',
    FLASK: 'gunicorn -w 4 -b 127.0.0.1:{} --access-logfile - peer_flask:app',
    JSON_SERVER: 'json-server --port {} db.json',
}
CASES = ['GET /films/1', 'GET /courses', 'PUT /films/1']
PUT_SCRIPT = """
wrk.method = "PUT"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"name": "Dune", "year": 2021, "month": "October"}'
"""
FILM = {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'}
COURSES = [
    {'code': 'CSE465', 'name': 'Neural networks', 'instructor': 'Andrew Ng'},
    {'code': 'CSE115', 'name': 'Programming', 'instructor': 'John stuart'},
]
DATA = f"""
import calendar

import jwt

MONTHS = calendar.month_name[1:]
films = {{'1': {FILM}}}
courses = {COURSES}

def is_signed(token):
    try:
        jwt.decode(token, '{KEY}', ['HS256'], {{'require': ['exp', 'sub']}})
    except jwt.InvalidTokenError:
        return False
    return True
"""
PEER_FASTAPI = """
from typing import Annotated, Literal

from data import MONTHS, courses, films, is_signed
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, Field

app = FastAPI()
bearer = OAuth2PasswordBearer('token')

class Film(BaseModel):
    Name: str
    Year: int
    Month: str

class FilmSent(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    year: int = Field(ge=1870, le=2100)
    month: Literal[*MONTHS]

class Course(BaseModel):
    code: str
    name: str
    instructor: str

class CourseList(BaseModel):
    courses: list[Course]

async def sign_in(token: Annotated[str, Depends(bearer)]):
    if not is_signed(token):
        raise HTTPException(401)

@app.get('/films/{film_id}')
async def get_film(film_id: str) -> Film:
    if film_id not in films:
        raise HTTPException(404)
    return films[film_id]

@app.put('/films/{film_id}')
async def put_film(film_id: str, film: FilmSent) -> Film:
    films[film_id] = {'Name': film.name, 'Year': film.year, 'Month': film.month}
    return films[film_id]

@app.get('/courses', dependencies=[Depends(sign_in)])
async def list_courses() -> CourseList:
    return {'courses': courses}
"""
PEER_FLASK = """
from data import MONTHS, courses, films, is_signed
from flask import Flask, abort, request

app = Flask(__name__)

def is_film(film):
    if not isinstance(film.get('name'), str) or not 1 <= len(film['name']) <= 200:
        return False
    if not isinstance(film.get('year'), int) or not 1870 <= film['year'] <= 2100:
        return False
    return film.get('month') in MONTHS

@app.get('/films/<film_id>')
def get_film(film_id):
    if film_id not in films:
        abort(404)
    return films[film_id]

@app.put('/films/<film_id>')
def put_film(film_id):
    film = request.get_json()
    if not is_film(film):
        abort(400)
    films[film_id] = {key.title(): film[key] for key in ['name', 'year', 'month']}
    return films[film_id]

@app.get('/courses')
def list_courses():
    if not is_signed(request.headers.get('Authorization', '')[7:]):
        abort(401)
    return {'courses': courses}
"""


def rate(url, path, *options):
    """Return how many answers a second wrk gets over 16 connections."""
    words = ['wrk', '-t1', '-c16', *options, url + path]
    printed = subprocess.check_output(words, text=True)
    assert 'Non-2xx' not in printed, printed
    return float(re.search(r'Requests/sec:\s+([\d.]+)', printed)[1])


def measure_round(folder, seconds):
    """Start all, and return their rates by case and name, measured one by one."""
    rates = {case: {} for case in CASES}
    with contextlib.ExitStack() as stack:
        urls = {}
        for name, line in LINES.items():
            port = free_port()
            settings = {'PORT': str(port), 'SECRET_KEY': KEY}
            running = server(line.format(port).split(), port, folder, **settings)
            urls[name] = stack.enter_context(running).url
        token = Client(urls[API]).sign_in()['Authorization']
        options = [[], ['-H', f'Authorization: {token}'], ['-s', f'{folder}/put.lua']]
        for case, case_options in zip(CASES, options):
            for name in random.sample(list(urls), len(urls)):
                path = case.split()[1]
                found = rate(urls[name], path, f'-d{seconds}s', *case_options)
                rates[case][name] = found
    return rates


def main():
    """Install the peers, measure them, and print a table for the README."""
    rounds, seconds = [int(word) for word in sys.argv[1:]] or [5, 3]
    with tempfile.TemporaryDirectory() as folder:
        path = os.environ['PATH']
        os.environ['PATH'] = f'{folder}/venv/bin:{folder}/node_modules/.bin:{path}'
        subprocess.run([sys.executable, '-m', 'venv', f'{folder}/venv'], check=True)
        subprocess.run(['pip', 'install', '-q', *PACKAGES], check=True)
        npm = ['npm', 'install', '--silent', '--prefix', folder, 'json-server@0.17.4']
        subprocess.run(npm, check=True)
        data = {'films': [{'id': 1, **FILM}], 'courses': COURSES}
        Path(folder, 'db.json').write_text(json.dumps(data))
        Path(folder, 'data.py').write_text(DATA)
        Path(folder, 'peer_fastapi.py').write_text(PEER_FASTAPI)
        Path(folder, 'peer_flask.py').write_text(PEER_FLASK)
        Path(folder, 'put.lua').write_text(PUT_SCRIPT)
        measured = [measure_round(folder, seconds) for _ in range(rounds)]
    print('| api.py to | ' + ' | '.join(CASES) + ' |')
    print('|---|' + '---|' * len(CASES))
    for peer in [FASTAPI, FLASK, JSON_SERVER]:
        cells = [peer]
        for case in CASES:
            ratios = [one[case][API] / one[case][peer] for one in measured]
            median = statistics.median(ratios)
            cells.append(f'{median:.2f} ({min(ratios):.2f}-{max(ratios):.2f})')
        print('| ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
    main()
