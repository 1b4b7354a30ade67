"""What several tests stand on: small studies, servers, scripted roles, spoiled inputs."""
