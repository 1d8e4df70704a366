mod encryption;
mod protection;
