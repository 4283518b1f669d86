"""The routes by audience: institutions (`signals`), officers (`queues`, `cases`), operators (`ops`)."""
