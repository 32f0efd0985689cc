"""Load for a service that answers: sent on a schedule, measured from when each request was due."""
