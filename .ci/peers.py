"""The same four routes for bench.py, as other frameworks write them, with the same work in each.

GET /films/1, GET /films, GET /courses with a bearer token, PUT /courses/CODE with both.
"""
import json
import os
import sys
from pathlib import Path

import jwt

SECRET_KEY = os.environ.get('SECRET_KEY', 'k' * 32)
FILMS = {'1': {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'},
         '2': {'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'}}
COURSES = {'CSE465': {'code': 'CSE465', 'name': 'Introduction to neural network',
                      'instructor': 'Andrew Ng'},
           'CSE115': {'code': 'CSE115', 'name': 'Introduction to programming language',
                      'instructor': 'John stuart'}}


def signed_in(header):
    """Tell whether this is an Authorization header with a good token."""
    try:
        jwt.decode((header or '').removeprefix('Bearer '), SECRET_KEY, ['HS256'],
                   options={'require': ['exp', 'sub']})
    except jwt.InvalidTokenError:
        return False
    return True


def valid(course):
    """Tell whether the fields of a course are right."""
    return isinstance(course, dict) and all(
        isinstance(course.get(field), str) and 1 <= len(course[field]) <= 120
        for field in ['name', 'instructor'])


def bare(environ, start_response):
    """Answer as a WSGI function without a framework: the limit of what its server can do."""
    body = json.dumps(FILMS['1']).encode()
    start_response('200 OK', [('Content-Type', 'application/json'),
                              ('Content-Length', str(len(body)))])
    return [body]


def falcon_app():
    """Return the routes in Falcon."""
    import falcon

    class Film:
        def on_get(self, request, response, film_id):
            if film_id not in FILMS:
                raise falcon.HTTPNotFound
            response.media = FILMS[film_id]

    class Films:
        def on_get(self, request, response):
            response.media = FILMS

    class Courses:
        def on_get(self, request, response):
            if not signed_in(request.get_header('Authorization')):
                raise falcon.HTTPUnauthorized
            response.media = {'courses': list(COURSES.values())}

    class Course:
        def on_put(self, request, response, code):
            if not signed_in(request.get_header('Authorization')):
                raise falcon.HTTPUnauthorized
            course = request.get_media()
            if not valid(course):
                raise falcon.HTTPBadRequest
            COURSES[code] = {**COURSES[code], **course}
            response.status, response.location = 204, f'/courses/{code}'

    app = falcon.App()
    for path, resource in [('/films/{film_id}', Film()), ('/films', Films()),
                           ('/courses', Courses()), ('/courses/{code}', Course())]:
        app.add_route(path, resource)
    return app


def flask_app():
    """Return the routes in Flask."""
    from flask import Flask, abort, request

    app = Flask('peers')

    @app.get('/films/<film_id>')
    def film(film_id):
        return FILMS.get(film_id) or abort(404)

    @app.get('/films')
    def films():
        return FILMS

    @app.get('/courses')
    def courses():
        if not signed_in(request.headers.get('Authorization')):
            abort(401)
        return {'courses': list(COURSES.values())}

    @app.put('/courses/<code>')
    def course(code):
        if not signed_in(request.headers.get('Authorization')):
            abort(401)
        if not valid(request.json):
            abort(400)
        COURSES[code] = {**COURSES[code], **request.json}
        return '', 204, {'Location': f'/courses/{code}'}

    return app


def fastapi_app():
    """Return the routes in FastAPI, as its tutorial writes them."""
    from fastapi import Depends, FastAPI, HTTPException, Response
    from fastapi.security import OAuth2PasswordBearer
    from pydantic import BaseModel, Field

    app, token = FastAPI(), OAuth2PasswordBearer('token')

    class Course(BaseModel):
        name: str = Field(min_length=1, max_length=120)
        instructor: str = Field(min_length=1, max_length=120)

    def caller(sent: str = Depends(token)):
        if not signed_in(sent):
            raise HTTPException(401)

    @app.get('/films/{film_id}')
    async def film(film_id: str):
        if film_id not in FILMS:
            raise HTTPException(404)
        return FILMS[film_id]

    @app.get('/films')
    async def films():
        return FILMS

    @app.get('/courses', dependencies=[Depends(caller)])
    async def courses():
        return {'courses': list(COURSES.values())}

    @app.put('/courses/{code}', status_code=204, dependencies=[Depends(caller)])
    async def course(code: str, change: Course, response: Response):
        COURSES[code] = {**COURSES[code], **change.model_dump()}
        response.headers['Location'] = f'/courses/{code}'

    return app


if __name__ == '__main__':  # python peers.py NAME PORT: on waitress, with the settings of api.py
    import waitress

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from api import WAITRESS
    waitress.serve(bare if sys.argv[1] == 'bare' else falcon_app(), host='127.0.0.1',
                   port=int(sys.argv[2]), **WAITRESS)
